"""The DAGs of this repository, as Airflow's dag processor loads them."""

import json

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Variable
from airflow.sdk.configuration import clear_secrets_backends_cache

from dag_factory.settings import Settings
from dag_factory.testing import get_dag_test_class
from tests.support.plans import plans_and_problems
from tests.support.running import CHECKOUT


class TestDev(get_dag_test_class(CHECKOUT / "meltano", environment="dev")):
    test_somebody_hears_of_failures = None


TestProd = get_dag_test_class(CHECKOUT / "meltano", environment="prod")


@pytest.fixture(scope="module")
def dagbag():
    return DagBag(CHECKOUT / "dags")


def test_every_file_loads(dagbag):
    assert dagbag.import_errors == {}


def test_every_job_has_its_dag(dagbag):
    plans, problems = plans_and_problems(Settings(CHECKOUT / "meltano"))
    assert not problems
    assert set(dagbag.dags) == {"meltano_state", *(plan.dag_id for plan in plans)}
    assert {"reference_data", "airflow_history"} <= set(dagbag.dags)


def test_airflow_does_not_skip_a_file_for_want_of_its_words():
    for file in (CHECKOUT / "dags").glob("*.py"):
        text = file.read_text().lower()
        assert "airflow" in text, file
        assert "dag" in text, file


@pytest.fixture
def secrets_backend(answers, monkeypatch):
    """What Airflow's backend asks of AWS Secrets Manager while it is there."""
    backend = "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backend)
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps({"variables_prefix": "any"}))
    yield answers
    clear_secrets_backends_cache()


def test_reading_the_dags_asks_for_no_secret(secrets_backend):
    assert DagBag(CHECKOUT / "dags").dags
    assert secrets_backend.asked == []
    Variable.get("here", default=None)
    assert secrets_backend.asked == [{"SecretId": "any/here"}]
