"""What the Airflow of `make up` has in its environment."""

import json

import pytest
from airflow_server import LocalAirflow

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
