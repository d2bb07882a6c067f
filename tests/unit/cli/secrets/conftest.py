from types import SimpleNamespace

import pytest

from dag_factory.cli.secrets.needs import read_needs
from dag_factory.settings import Settings
from tests.support.secret_project import SECRETS_PLUGINS, job


@pytest.fixture
def needs(write_project):
    root = write_project(job("tap-b target-x", secrets=["proxy"]), plugins=SECRETS_PLUGINS)
    found, problems = read_needs(Settings(root, secrets_prefix="acme"))
    assert problems == ()
    return SimpleNamespace(**{each.name.short_name.replace("-", "_"): each for each in found})
