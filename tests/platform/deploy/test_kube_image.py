"""The image of `make kube-up` has a new name when, and only when, it would be another one."""

import pytest
from local_platform.kube.image import image_tag

from tests.support.running import copy_checkout


@pytest.fixture
def checkout(tmp_path):
    return copy_checkout(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "meltano/extract/extractors.meltano.yml",
        "extractors/tap-airflow/tap_airflow/tap.py",
        "dag_factory/pod/meltano_task.py",
        "images/meltano/requirements.lock",
        "images/meltano/Dockerfile",
        "setup.cfg",
    ],
)
def test_a_file_that_is_in_the_image_changes_its_name(checkout, name):
    before = image_tag(checkout)
    with (checkout / name).open("a") as file:
        file.write("\n# changed\n")
    assert image_tag(checkout) != before


@pytest.mark.parametrize(
    "name",
    [
        "meltano/.env",
        "meltano/output/warehouse.duckdb",
        "meltano/.meltano/x",
        "docs/x",
        "dags/x.py",
    ],
)
def test_a_file_that_no_builder_gets_does_not(checkout, name):
    before = image_tag(checkout)
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("changed")
    assert image_tag(checkout) == before
