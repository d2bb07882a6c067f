"""What the Airflow of `make up` has in its environment."""

import json

import pytest
from local_platform.airflow_server import LocalAirflow

from tests.support.running import free_port

PREFIX = "DAG_FACTORY_SECRETS_PREFIX"


def test_without_a_prefix_nothing_is_asked_of_aws(tmp_path, monkeypatch):
    monkeypatch.delenv(PREFIX, raising=False)
    assert not [name for name in LocalAirflow(tmp_path).environ if name.startswith("AIRFLOW__")]


@pytest.mark.parametrize(
    ("variables", "environment"), [({}, "dev"), ({"MELTANO_ENVIRONMENT": "kube"}, "kube")]
)
def test_with_a_prefix_airflow_asks_for_the_secrets_of_its_environment(
    variables, environment, tmp_path, monkeypatch
):
    monkeypatch.setenv(PREFIX, "acme/data")
    environ = LocalAirflow(tmp_path, variables=variables).environ
    assert environ["AIRFLOW__SECRETS__BACKEND"].endswith(".SecretsManagerBackend")
    assert json.loads(environ["AIRFLOW__SECRETS__BACKEND_KWARGS"]) == {
        "connections_prefix": f"acme/data/{environment}/airflow/connections",
        "variables_prefix": f"acme/data/{environment}/airflow/variables",
        "config_prefix": None,
    }


def test_it_knows_which_variables_are_not_those_that_it_was_started_with(tmp_path, monkeypatch):
    monkeypatch.setenv(PREFIX, "acme")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_PROFILE", "dev")
    airflow = LocalAirflow(tmp_path)
    airflow.configure(free_port())
    airflow.start()
    assert airflow.changed_variables() == []

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("OTHER", "x")
    monkeypatch.delenv(PREFIX)
    changed = ["AWS_DEFAULT_REGION", "AWS_SECRET_ACCESS_KEY", PREFIX]
    assert LocalAirflow(tmp_path).changed_variables() == changed
    assert "hunter2" not in "".join(file.read_text() for file in airflow.state.glob("*.json"))
