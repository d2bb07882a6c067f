"""tap-airflow against the running Airflow of the `airflow` fixture."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
import requests
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_airflow.client import AirflowStream
from tap_airflow.tap import TapAirflow

DAG = "reference_data"
FINISHED = {"success", "failed"}
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
NOTHING_WRONG = ["import_errors", "task_failures"]
SUITE = SuiteConfig(max_records_limit=None, ignore_no_records_for_streams=NOTHING_WRONG)

StandardTests = get_tap_test_class(
    TapAirflow,
    config={"api_url": "http://placeholder.invalid", "token": "none"},
    suite_config=SUITE,
    parse_env_config=False,
)


@pytest.fixture(scope="session")
def settings(airflow) -> dict:
    return {"api_url": airflow.url, "username": airflow.username, "password": airflow.password}


# A column that is null in every row, such as logical_date where all runs are manual.
@pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")
class TestStandard(StandardTests):
    """The SDK's own tests, which want their settings before Airflow runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, settings):
        runner = TapTestRunner(TapAirflow, config=settings, suite_config=SUITE)
        runner.sync_all()
        return runner


def tries(tasks: list[dict]) -> dict[str, int]:
    return {f"{task['task_id']}[{task['map_index']}]": task["try_number"] for task in tasks}


class Person:
    """What a person does in Airflow's web page."""

    def __init__(self, airflow) -> None:
        self.url = f"{airflow.url}/api/v2/dags"
        self.session = requests.Session()
        credentials = {"username": airflow.username, "password": airflow.password}
        token = requests.post(f"{airflow.url}/auth/token", json=credentials, timeout=30).json()
        self.session.headers["Authorization"] = f"Bearer {token['access_token']}"
        self.triggered: list[str] = []

    def call(self, method: str, path: str, **kwargs: object) -> requests.Response:
        response = self.session.request(method, f"{self.url}/{path}", timeout=120, **kwargs)
        response.raise_for_status()
        return response

    def trigger(self, **body: object) -> str:
        body = {"logical_date": None, **body}
        run_id = self.call("POST", f"{DAG}/dagRuns", json=body).json()["dag_run_id"]
        self.triggered.append(run_id)
        return run_id

    def queue(self) -> str:
        """Make a run that stays queued, so that nothing but the test changes it."""
        return self.trigger(dag_run_id=f"queued__{uuid4()}", run_after=TOMORROW)

    def mark(self, run_id: str, state: str) -> None:
        self.call("PATCH", f"{DAG}/dagRuns/{run_id}", json={"state": state})

    def clear(self, run_id: str) -> None:
        self.call("POST", f"{DAG}/dagRuns/{run_id}/clear", json={"dry_run": False})

    def wait(self, run_id: str) -> None:
        """Return when the run has finished; Airflow holds the answer back until then."""
        self.call("GET", f"{DAG}/dagRuns/{run_id}/wait", params={"interval": 0.5})

    def run(self, run_id: str) -> dict:
        return self.call("GET", f"{DAG}/dagRuns/{run_id}").json()

    def tasks(self, run_id: str) -> list[dict]:
        return self.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances").json()["task_instances"]

    def tries(self, run_id: str) -> dict[str, int]:
        return tries(self.tasks(run_id))


@pytest.fixture
def person(airflow) -> Iterator[Person]:
    person = Person(airflow)
    yield person
    for run_id in person.triggered:
        person.session.delete(f"{person.url}/{DAG}/dagRuns/{run_id}", timeout=30)


class Warehouse:
    """Loads what the tap writes by upsert, and keeps its state, as a real loader does."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.state: dict = {}
        self.tables: dict[str, dict[tuple, dict]] = {}
        self.loaded: list[dict] = []

    def sync(self) -> Warehouse:
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(out):
            TapAirflow(config=self.config, state=self.state).sync_all()
        out.seek(0)
        self.loaded = []
        keys: dict[str, list[str]] = {}
        for message in map(json.loads, out):
            if message["type"] == "SCHEMA":
                keys[message["stream"]] = message["key_properties"]
            elif message["type"] == "STATE":
                self.state = message["value"]
            else:
                row = message["record"]
                key = tuple(row[column] for column in keys[message["stream"]])
                self.tables.setdefault(message["stream"], {})[key] = row
                self.loaded.append(row)
        return self

    def run(self, run_id: str) -> dict:
        return self.tables["dag_runs"][DAG, run_id]

    def tasks(self, run_id: str) -> list[dict]:
        tasks = self.tables["task_instances"].items()
        return [row for (dag, run, *_), row in tasks if (dag, run) == (DAG, run_id)]

    def tries(self, run_id: str) -> dict[str, int]:
        return tries(self.tasks(run_id))

    def reads(self, run_id: str) -> int:
        """Return how many rows of a run the last sync read."""
        return sum(row.get("dag_run_id") == run_id for row in self.loaded)


@pytest.fixture
def warehouse(settings, monkeypatch) -> Warehouse:
    """A warehouse with nothing in it, and no overlap: the tests look at the bookmark alone."""
    monkeypatch.setattr("tap_airflow.client.OVERLAP", timedelta(0))
    return Warehouse(settings)


@pytest.fixture
def between_pages(monkeypatch) -> Callable[[str, list[Callable[[], object]]], None]:
    """Do the next thing of a list after each page of a stream that Airflow has given out."""
    validate = AirflowStream.validate_response

    def plan(stream: str, actions: list[Callable[[], object]]) -> None:
        def validate_and_act(self: AirflowStream, response: requests.Response) -> None:
            validate(self, response)
            if self.name == stream and actions:
                actions.pop(0)()

        monkeypatch.setattr(AirflowStream, "validate_response", validate_and_act)

    return plan


def until_quiet(warehouse: Warehouse, run_id: str) -> None:
    """Sync until a run that no longer changes is no longer read.

    Airflow tells its time in whole seconds, so the bookmark is up to two seconds early.
    """
    for _ in range(100):
        if warehouse.sync().reads(run_id) == 0:
            return
    pytest.fail(f"{run_id} is read again and again")


def test_a_run_comes_again_when_it_finishes_and_when_it_is_cleared(person, warehouse):
    run_id = person.trigger(conf={"nested": {"list": [1, "two"]}})
    assert warehouse.sync().run(run_id)["state"] not in FINISHED

    person.wait(run_id)
    assert warehouse.sync().run(run_id)["state"] in FINISHED
    assert warehouse.run(run_id)["conf"]["nested"] == {"list": [1, "two"]}
    assert warehouse.tries(run_id) == person.tries(run_id)
    first_tries = warehouse.tries(run_id)

    until_quiet(warehouse, run_id)

    person.clear(run_id)
    warehouse.sync()
    assert warehouse.reads(run_id) > 1
    person.wait(run_id)
    assert warehouse.sync().run(run_id)["end_date"] == person.run(run_id)["end_date"]
    assert warehouse.tries(run_id) == person.tries(run_id)
    assert sum(warehouse.tries(run_id).values()) > sum(first_tries.values())

    until_quiet(warehouse, run_id)


def test_what_was_read_is_what_airflow_says(person, warehouse):
    run_id = person.queue()
    row = warehouse.sync().run(run_id)
    answer = person.run(run_id)
    assert {name: row[name] for name in row.keys() & answer.keys()} == {
        name: answer[name] for name in row.keys() & answer.keys()
    }
    answered = datetime.fromisoformat(row["read_at"])
    assert abs(datetime.now(UTC) - answered) < timedelta(seconds=60)


def test_no_change_is_lost_while_pages_are_read(person, warehouse, between_pages):
    warehouse.config = {**warehouse.config, "page_size": 2}
    runs = [person.queue() for _ in range(8)]
    warehouse.sync()
    for run_id in runs:
        person.mark(run_id, "success")
    actions = [
        lambda: person.mark(runs[0], "failed"),
        lambda: person.mark(runs[7], "failed"),
        lambda: runs.append(person.queue()),
        lambda: person.clear(runs[1]),
    ]
    between_pages("dag_runs", actions)
    warehouse.sync()
    assert actions == [], "the list was shorter than the test needs"
    warehouse.sync()
    assert {run_id: warehouse.run(run_id)["state"] for run_id in runs} == {
        run_id: person.run(run_id)["state"] for run_id in runs
    }
    assert warehouse.run(runs[0])["state"] == "failed"
    assert warehouse.run(runs[1])["state"] == "queued"


def test_no_task_is_lost_when_it_gets_a_new_id_while_pages_are_read(
    person, warehouse, between_pages
):
    warehouse.config = {**warehouse.config, "page_size": 2}
    runs = [person.queue() for _ in range(4)]
    for run_id in runs:
        person.mark(run_id, "success")
    ids = {task["id"] for run_id in runs for task in person.tasks(run_id)}
    actions = [lambda: person.clear(runs[3]), lambda: person.clear(runs[0])]
    between_pages("task_instances", actions)
    warehouse.sync()
    warehouse.sync()
    for run_id in runs:
        read = {(task["task_id"], task["id"], task["state"]) for task in warehouse.tasks(run_id)}
        assert read == {
            (task["task_id"], task["id"], task["state"]) for task in person.tasks(run_id)
        }
    assert ids - {task["id"] for run_id in runs for task in warehouse.tasks(run_id)}


def test_small_pages_read_the_same_as_one(settings):
    whole = Warehouse(settings).sync()
    paged = Warehouse({**settings, "page_size": 2}).sync()
    for stream in ("dags", "dag_runs", "task_instances"):
        assert paged.tables[stream].keys() >= whole.tables[stream].keys()


def test_a_token_that_airflow_refuses_is_renewed(settings):
    tap = TapAirflow(config=settings)
    tap.authenticator._token = jwt.encode({"sub": "admin"}, "k" * 64, algorithm="HS512")
    with redirect_stdout(io.StringIO()):
        assert tap.run_connection_test()


def test_a_ready_token_is_enough(settings, person):
    token = person.session.headers["Authorization"].removeprefix("Bearer ")
    assert Warehouse({"api_url": settings["api_url"], "token": token}).sync().tables["dag_runs"]


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"password": "wrong"}, "/auth/token rejects the username and password"),
        (
            {"path": "/api/v2"},
            "is api_url correct? It must be the address of Airflow's web interface",
        ),
    ],
)
def test_the_executable_ends_in_one_line(settings, wrong, line, tmp_path):
    settings = {**settings, **wrong}
    settings["api_url"] += settings.pop("path", "")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    executable = Path(sys.executable).with_name("tap-airflow")
    run = subprocess.run(
        [executable, "--config", tmp_path / "config.json"],
        env={**os.environ, "TAP_AIRFLOW_LOGLEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert line in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert settings["password"] not in run.stderr
