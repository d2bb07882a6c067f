"""The locks of the images hold the versions that are tested, and nothing too much."""

import re

import pytest

from tests.support.running import CHECKOUT

LOCKS = [str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("images/**/*.lock")]
PINNED = re.compile(r"^([\w.-]+)==([^ ;]+)(?: ; (.*?))? \\$", re.MULTILINE)


def pinned(lock):
    return {(name, version) for name, version, _ in PINNED.findall((CHECKOUT / lock).read_text())}


@pytest.mark.parametrize("lock", LOCKS)
def test_an_image_never_has_another_version_than_the_one_that_is_tested(lock):
    tested, held = pinned("requirements.lock"), pinned(lock)
    names = {name for name, _ in tested}
    assert held
    assert {each for each in held if each[0] in names} <= tested


def test_meltano_and_this_package_find_what_they_need_in_their_image():
    held = {name for name, _ in pinned("images/meltano/requirements.lock")}
    assert {"meltano", "psycopg", "boto3", "croniter", "pyyaml"} <= held
    assert not held & {"pip", "uv", "virtualenv", "apache-airflow"}
