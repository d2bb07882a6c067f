"""The values for Airflow's Helm chart: what can be known of them without Helm."""

import json
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.support.running import CHECKOUT

FOLDER = CHECKOUT / "deploy/kubernetes"
GUIDE = (CHECKOUT / "docs/kubernetes.md").read_text()
SECRETS_GUIDE = (CHECKOUT / "docs/secrets-airflow.md").read_text()
VALUES = {path.name: yaml.safe_load(path.read_text()) for path in FOLDER.glob("values*.yaml")}

CHART_KEYS = [
    line
    for line in Path(__file__).with_name("chart_keys.txt").read_text().splitlines()
    if not line.startswith("#")
]


def keys(values: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each value, as far as the chart itself knows it."""
    if path in CHART_KEYS or not isinstance(values, dict):
        yield path
        return
    for name, value in values.items():
        yield from keys(value, f"{path}.{name}" if path else name)


@pytest.mark.parametrize("name", VALUES)
def test_values_have_only_keys_of_the_chart(name):
    assert [key for key in keys(VALUES[name]) if key not in CHART_KEYS] == []


@pytest.mark.parametrize("name", VALUES)
def test_what_goes_into_airflow_cfg_is_known_to_airflow(name):
    known = conf.configuration_description
    for section, options in VALUES[name].get("config", {}).items():
        assert set(options) <= set(known[section]["options"])


def test_the_chart_is_told_the_version_that_the_image_has():
    lock = (CHECKOUT / "images/airflow/requirements.lock").read_text()
    assert f"apache-airflow=={VALUES['values.yaml']['airflowVersion']} " in lock


def test_celery_alone_defers():
    deferrable = {
        name: values.get("config", {}).get("operators") for name, values in VALUES.items()
    }
    assert deferrable.pop("values-celery.yaml") == {"default_deferrable": "True"}
    assert set(deferrable.values()) == {None}


def test_pods_are_started_where_the_roles_allow_it():
    roles = [*yaml.safe_load_all((FOLDER / "task-pods.yaml").read_text())]
    (env,) = [
        each["value"]
        for each in VALUES["values.yaml"]["env"]
        if each["name"] == "AIRFLOW_CONN_KUBERNETES_DEFAULT"
    ]
    namespace = json.loads(env)["extra"]["namespace"]
    assert {each["metadata"]["namespace"] for each in roles} == {namespace}


def test_each_service_account_that_the_chart_does_not_create_is_there():
    manifests = yaml.safe_load_all((FOLDER / "service-accounts.yaml").read_text())
    there = {each["metadata"]["name"] for each in manifests}
    base, celery = VALUES["values.yaml"], VALUES["values-celery.yaml"]
    sections = [base["scheduler"], base["triggerer"], base["workers"]["kubernetes"]]
    for section in (*sections, celery["workers"]["celery"]):
        assert section["serviceAccount"]["create"] is False
        assert section["serviceAccount"]["name"] in there


def secrets_backend():
    """Return the backend of the values, as Airflow makes it."""
    section = VALUES["values.yaml"]["config"]["secrets"]
    return pkgutil.resolve_name(section["backend"])(**json.loads(section["backend_kwargs"]))


def test_connections_and_variables_are_read_in_aws_and_settings_are_not():
    env = {each["name"]: each["value"] for each in VALUES["values.yaml"]["env"]}
    folder = f"acme/{env['MELTANO_ENVIRONMENT']}/airflow"
    backend = secrets_backend()
    assert backend.connections_prefix == f"{folder}/connections"
    assert backend.variables_prefix == f"{folder}/variables"
    assert backend.config_prefix is None


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("acme/prod/airflow/connections/smtp_default", True),
        ("acme/prod/airflow/variables/crm_token", True),
        ("acme/prod/airflow/other", False),
        ("acme/prod/meltano/tap-crm", False),
        ("acme/dev/airflow/connections/smtp_default", False),
    ],
)
def test_the_policy_of_the_guide_lets_airflow_read_its_own_secrets_and_no_others(name, readable):
    (policy,) = re.findall(r"```json\n(.*?)```", SECRETS_GUIDE, re.DOTALL)
    (statement,) = json.loads(policy)["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "secretsmanager:GetSecretValue")
    arn = f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-a1B2c3"
    assert any(fnmatchcase(arn, allowed) for allowed in statement["Resource"]) is readable


SECRETS = {
    value: key
    for text in (path.read_text() for path in FOLDER.glob("values*.yaml"))
    for value, key in re.findall(r"Secret(?:Name)?: ([\w-]+) # key `([\w-]+)`", text)
}


@pytest.mark.parametrize("name", SECRETS)
def test_the_guide_makes_each_secret_that_the_values_name(name):
    assert f"secret airflow {name} {SECRETS[name]}" in GUIDE


def test_every_value_that_names_a_secret_says_its_key():
    named = [
        value
        for values in VALUES.values()
        for path, value in leaves(values)
        if re.search(r"Secret(Name)?$", path)
    ]
    assert sorted(named) == sorted(SECRETS)


PROJECT = {
    "default_environment": "prod",
    "plugins": {
        "extractors": [{"name": "tap-crm", "namespace": "tap_crm"}],
        "loaders": [{"name": "target-x", "namespace": "target_x"}],
    },
    "jobs": [{"name": "crm", "tasks": ["tap-crm target-x"]}],
}


@pytest.mark.parametrize("which", ["Postgres", "S3"])
def test_the_guide_s_environment_has_no_problem(which, tmp_path):
    found = re.findall(r"^ *```yaml\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
    with_postgres, with_s3 = (yaml.safe_load(textwrap.dedent(text)) for text in found)
    project = PROJECT | with_postgres
    if which == "S3":
        project["environments"][0]["annotations"]["airflow"] |= with_s3
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(project))
    _, problems = plans_and_problems(Settings(tmp_path, image="registry.example.com/meltano:1.0.0"))
    assert not problems


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(values, dict):
        yield path, values
        return
    for name, value in values.items():
        yield from leaves(value, f"{path}.{name}")
