"""Meltano's state and its locks from Airflow's UI: the DAG `meltano_state`."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.support.running import finished, wait_until

STATE_ID = "dev:tap-airflow-to-target-warehouse"
COPY = "dev:tap-airflow-to-target-warehouse:copy"


@pytest.fixture
def act(api, trigger, read_log):
    """Run the DAG with the values of its form; return its end, and its log."""

    def run(**values):
        path = trigger("meltano_state", **values)
        return wait_until(lambda: finished(api, path), 60, "its end"), read_log(path)

    return run


@pytest.mark.faults
def test_state_is_listed_shown_copied_and_cleared(api, trigger, act):
    run = trigger("airflow_history")
    assert wait_until(lambda: finished(api, run), 180, "airflow_history") == "success"

    state, log = act(action="list")
    assert state == "success"
    assert f'"{STATE_ID}"' in log
    state, log = act(action="show", state_id=STATE_ID)
    assert state == "success"
    assert '      "task_instances": {\n' in log
    assert '        "replication_key": "read_at",\n' in log

    assert act(action="copy", state_id=STATE_ID, target=COPY)[0] == "success"
    state, log = act(action="clear", state_id=COPY, confirm=STATE_ID)
    assert state == "failed"
    assert f"Nothing was cleared: write '{COPY}' into confirm too" in log
    state, log = act(action="clear", state_id=COPY, confirm=COPY)
    assert state == "success"
    assert f"To restore the state of {COPY}: meltano state set " in log
    log = act(action="list")[1]
    assert f'"{COPY}"' not in log
    assert f'"{STATE_ID}"' in log


def test_a_lock_is_released_when_its_run_is_dead(airflow, act):
    database = airflow.checkout / "meltano/.meltano/meltano.db"
    lock(database, "dead", ago=timedelta(seconds=60))
    lock(database, "alive", ago=timedelta(seconds=-60))
    state, log = act(action="release_lock", state_id="dead")
    assert state == "success"
    assert "'dead' is free: its run of " in log
    state, log = act(action="release_lock", state_id="alive")
    assert state == "failed"
    assert "'alive' keeps its lock: its run was alive " in log


def lock(database, state_id, ago):
    """Leave what a run leaves whose last heartbeat is so long ago."""
    moment = f"{datetime.now(UTC) - ago:%Y-%m-%d %H:%M:%S.%f}"
    row = (state_id, uuid4().hex, moment, moment)
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute(
            "INSERT INTO runs (job_name, run_id, started_at, last_heartbeat_at, state, payload,"
            " payload_flags) VALUES (?, ?, ?, ?, 'RUNNING', '{}', 0)",
            row,
        )


@pytest.mark.parametrize(
    "values",
    [
        {"action": "drop"},
        {"action": "show", "state_id": 5},
        {"action": "show", "state_id": f"{STATE_ID}\n"},
        {"action": "clear", "state_id": "../meltano", "confirm": "../meltano"},
        {"action": "copy", "state_id": STATE_ID, "target": "/tmp/state"},  # noqa: S108
    ],
)
def test_wrong_values_never_start_a_run(api, values):
    before = runs(api)
    body = {"logical_date": None, "conf": values}
    assert api.post("dags/meltano_state/dagRuns", json=body).status_code == 400
    assert runs(api) == before


def runs(api):
    return api.get("dags/meltano_state/dagRuns").raise_for_status().json()["total_entries"]
