import json
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from dag_factory.cli.json_schema import MELTANO_SCHEMA, option_schema, project_schema
from dag_factory.errors import Problems
from dag_factory.meltano_yaml.includes import read_project_files
from dag_factory.options.catalog import OPTIONS, Level
from tests.support.running import CHECKOUT


@pytest.fixture(scope="module")
def validator():
    meltano = json.loads((files("meltano.schemas") / "meltano.schema.json").read_text())
    registry = Registry().with_resource(MELTANO_SCHEMA, Resource.from_contents(meltano))
    Draft202012Validator.check_schema(project_schema())
    return Draft202012Validator(project_schema(), registry=registry)


def test_the_project_of_this_repository_fits(validator):
    data = read_project_files(CHECKOUT / "meltano", Problems())
    assert [each.message for each in validator.iter_errors(data)] == []


@pytest.mark.parametrize(
    "data",
    [
        {"annotations": {"airflow": {"retrys": 1}}},
        {"annotations": {"airflow": {"environments": ["dev"]}}},
        {"jobs": [{"name": "j", "tasks": [], "annotations": {"airflow": {"retries": -1}}}]},
        {"jobs": [{"name": "j", "tasks": [], "annotations": {"airflow": {"retry_delay": "5"}}}]},
        {"environments": [{"name": "dev", "annotations": {"airflow": {"after": "j"}}}]},
        {"plugins": {"loaders": [{"name": "x", "annotations": {"airflow": {"tags": []}}}]}},
        {"annotations": {"airflow": {"secrets": "tap-x"}}},
        {"annotations": {"airflow": {"secrets": {"mode": "vault"}}}},
        {"jobs": [{"name": "j"}]},
    ],
)
def test_what_is_a_problem_to_us_or_to_meltanos_schema_does_not_fit(validator, data):
    assert not validator.is_valid(data)


@pytest.mark.parametrize("secrets", [["tap-x"], {"mode": "k8s"}, {"names": ["a"], "mode": "aws"}])
def test_secrets_fit_in_both_forms(validator, secrets):
    assert validator.is_valid({"annotations": {"airflow": {"secrets": secrets}}})


def test_other_tools_annotations_fit(validator):
    assert validator.is_valid({"annotations": {"another": {"x": 1}}})


def test_every_option_is_in_it_and_described():
    properties = {}
    for level in Level:
        properties |= option_schema(level)["properties"]
    assert set(OPTIONS) <= set(properties)
    assert all(properties[name]["description"].endswith(".") for name in OPTIONS)
