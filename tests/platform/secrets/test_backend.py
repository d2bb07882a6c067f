"""Airflow's own connections and variables, which are in AWS Secrets Manager and nowhere else."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from local_platform.airflow_server import LocalAirflow
from local_platform.steps import start

from tests.support.aws import REGION, SecretsManager
from tests.support.mail_server import MailServer, serving_mail
from tests.support.running import CHECKOUT, finished, free_port, shown, task_log, wait_until
from tests.support.shell_project import PROJECT, make_project

# The components are children of this process, and outlive the call that starts them.
pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen"),
]
FOLDER = "acme/data/dev/airflow"
PASSWORD, CHANGED, TOKEN, SAID = "marker-4f1c", "marker-77d0", "marker-c3a9", "marker-0be2"
DAGS = """
import logging
from hashlib import sha256

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Connection, Variable, task

with DAG("asks", schedule=None, is_paused_upon_creation=False):

    @task
    def ask():
        password, token = Connection.get("warehouse").password, Variable.get("crm_token")
        return sha256(f"{password} {token}".encode()).hexdigest()

    env = {"PASSWORD": "{{ conn.warehouse.password }}", "TOKEN": "{{ var.value.crm_token }}"}
    ask() >> BashOperator(task_id="render", bash_command="echo $PASSWORD | sha256sum", env=env)

with DAG("tells", schedule=None, is_paused_upon_creation=False):

    @task
    def tell():
        logging.getLogger("tells").info("the password is %s", Connection.get("said").password)

    tell()
"""
JOB = """
jobs:
- name: refused
  tasks: [tap-a target-x]
  annotations:
    airflow: {retries: 0, deadline: 1s, email: [a@example.com], email_on: [failure, deadline]}
"""


@dataclass(frozen=True)
class Platform:
    """An Airflow of this module's own, with its backend and its mail server."""

    airflow: LocalAirflow
    api: httpx.Client
    secrets: SecretsManager
    server: MailServer

    def run(self, dag_id: str) -> str:
        """Run a DAG to its end; return the path of the run."""
        wait_until(lambda: shown(self.api, dag_id), 120, f"the DAG {dag_id}")
        made = self.api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None})
        run = f"dags/{dag_id}/dagRuns/{made.raise_for_status().json()['dag_run_id']}"
        wait_until(lambda: finished(self.api, run), 180, f"the end of {dag_id}")
        return run

    def ask(self) -> str:
        """Run `asks`; return the digest of what it was told."""
        path = f"{self.run('asks')}/taskInstances/ask/xcomEntries/return_value"
        return str(self.api.get(path).raise_for_status().json()["value"])


@pytest.fixture(scope="module")
def platform(moto_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Airflow as `make up` starts it with DAG_FACTORY_SECRETS_PREFIX."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "dags").mkdir()
    (checkout / "dags/own.py").write_text(DAGS)
    shutil.copy(CHECKOUT / "dags/meltano_jobs.py", checkout / "dags")
    (checkout / "meltano").mkdir()
    make_project(checkout / "meltano", tap="exit 1")
    (checkout / "meltano/meltano.yml").write_text(PROJECT + JOB)

    variables = {
        "DAG_FACTORY_SECRETS_PREFIX": "acme/data",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": moto_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    airflow = LocalAirflow(checkout, variables=variables)
    secrets = SecretsManager(moto_url, REGION)
    with serving_mail() as server:
        secrets.put(f"{FOLDER}/connections/smtp_default", server.connection)
        secrets.put(f"{FOLDER}/connections/warehouse", warehouse(PASSWORD))
        secrets.put(f"{FOLDER}/connections/said", warehouse(SAID))
        secrets.put(f"{FOLDER}/variables/crm_token", TOKEN)
        airflow.configure(free_port())
        try:
            start(airflow)
            with airflow.api() as api:
                yield Platform(airflow, api, secrets, server)
        finally:
            airflow.stop()


def warehouse(password: str) -> dict[str, str]:
    return {"conn_type": "generic", "login": "loader", "password": password}


def digest(password: str) -> str:
    return sha256(f"{password} {TOKEN}".encode()).hexdigest()


def holding(folder: Path, text: str) -> set[str]:
    """Return the names of the files that hold a text."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.name for file in files if text.encode() in file.read_bytes()}


def test_a_task_uses_a_connection_and_a_variable_that_are_only_there(platform):
    assert platform.ask() == digest(PASSWORD)


def test_a_changed_value_is_used_by_the_next_task(platform):
    platform.secrets.change(f"{FOLDER}/connections/warehouse", warehouse(CHANGED))
    assert platform.ask() == digest(CHANGED)


def test_alerts_are_mailed_through_a_connection_that_is_only_there(platform):
    run = platform.run("refused")
    assert platform.api.get(run).json()["state"] == "failed"
    server = platform.server
    wait_until(lambda: len(server.mails) == 2, 120, "the mails of task and triggerer")
    assert {mail["Subject"].split()[1] for mail in server.mails} == {"FAILED", "LATE"}


def test_the_log_of_a_task_hides_a_password_that_it_logs(platform):
    log = task_log(platform.api, platform.run("tells"))
    assert "the password is ***" in log
    assert SAID not in log


def test_a_template_renders_a_value_and_keeps_stars(platform):
    path = f"{platform.run('asks')}/taskInstances/render"
    told = platform.api.get(f"{path}/xcomEntries/return_value").raise_for_status().json()["value"]
    assert told.split()[0] == sha256(f"{CHANGED}\n".encode()).hexdigest()
    fields = platform.api.get(path).raise_for_status().json()["rendered_fields"]
    assert fields["env"] == {"PASSWORD": "***", "TOKEN": "***"}


def test_no_value_is_in_a_file_of_airflow_or_in_its_database(platform):
    told, folder = platform.ask(), platform.airflow.state
    assert holding(folder, told) & {"airflow.db", "airflow.db-wal"}
    for marker in (PASSWORD, CHANGED, TOKEN):
        assert holding(folder, marker) == set()
    for kind in ("connections", "variables"):
        assert platform.api.get(kind).raise_for_status().json()["total_entries"] == 0
