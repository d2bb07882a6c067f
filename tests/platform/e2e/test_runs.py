"""What starts a job, and what its runs get: forms, windows, other jobs, several schedules."""

import sqlite3
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.running import asset_events, count, finished, query, shown, wait_until

TAP = {
    "name": "tap-days",
    "namespace": "tap_days",
    "executable": "../tests/platform/e2e/tap-days",
    "capabilities": ["state"],
    "settings": [{"name": "start_date"}, {"name": "end_date"}, {"name": "note"}],
    "config": {"start_date": "2026-10-01", "end_date": "2026-10-11", "note": "$NOTE"},
}
TARGET = "tap-days target-duckdb"


def heir(name, schema, **config):
    return {"name": name, "inherit_from": "tap-days", "load_schema": schema, "config": config}


def job(name, *tasks, **airflow):
    return {"name": name, "tasks": list(tasks), "annotations": {"airflow": airflow}}


def schedule(name, of, interval, **more):
    return {"name": name, "job": of, "interval": interval, **more}


def add_jobs(data):
    data["plugins"] = {
        "extractors": [
            TAP,
            heir("tap-form", "form"),
            heir("tap-windows", "windows"),
            heir("tap-many", "many"),
            heir("tap-older", "older"),
            heir("tap-ticks", "ticks", note="$WHICH $AIRFLOW_CTX_DATA_INTERVAL_START"),
        ]
    }
    data["jobs"] += [
        job("form", "tap-form target-duckdb", params={"NOTE": {"type": "string"}}),
        job("windows", "tap-windows target-duckdb"),
        job("many", "tap-many target-duckdb"),
        job("expecting", "tap-airflow target-duckdb", expect={"streams": {"nothing": {"min": 1}}}),
        job("ticks", "tap-ticks target-duckdb"),
        job("afterwards", "tap-airflow target-duckdb", after="form"),
    ]
    tokyo = {"annotations": {"airflow": {"timezone": "Asia/Tokyo"}}}
    data["schedules"] += [
        schedule("daily", "windows", "0 0 * * *"),
        schedule("each day", "many", "0 0 * * *"),
        schedule("each minute", "ticks", "* * * * *", env={"WHICH": "minute"}),
        {
            "name": "older",
            "interval": "0 0 * * *",
            "transform": "skip",
            "extractor": "tap-older",
            "loader": "target-duckdb",
        },
        schedule("night in Tokyo", "ticks", "30 3 1 1 *", env={"WHICH": "night"}, **tokyo),
    ]


@pytest.fixture(scope="module")
def project(airflow, api, edit_for_module):
    edit_for_module(add_jobs)
    for name in ("form", "windows", "many", "ticks", "afterwards", "expecting", "older"):
        wait_until(lambda name=name: shown(api, name), 60, f"the DAG {name}")
    return airflow.checkout / "meltano"


def meltano(project: Path, sql, *values):
    """Ask Meltano's system database."""
    with sqlite3.connect(project / ".meltano/meltano.db") as connection:
        return connection.execute(sql, values).fetchall()


def bookmark(project, pair):
    found = meltano(project, "SELECT completed_state FROM state WHERE state_id = ?", pair)
    return found[0][0] if found else None


@pytest.mark.parametrize(
    "wrong",
    [
        {"full_refresh": "yes"},
        {"log_level": "loud"},
        {"state_id_suffix": "a; rm -rf /"},
        {"NOTE": "a\0b"},
        {"NOTE": "a\nb"},
        {"select_tap_form": "days"},
    ],
)
@pytest.mark.usefixtures("project")
def test_the_api_refuses_what_does_not_fit(api, wrong):
    answer = api.post("dags/form/dagRuns", json={"logical_date": None, "conf": wrong})
    assert answer.status_code == 400
    assert f"Invalid input for param {next(iter(wrong))}" in answer.json()["detail"]


def test_a_form_reaches_meltano_as_variables_and_other_jobs_run_after(
    airflow, api, project, trigger, tmp_path
):
    marker = tmp_path / "injected"
    note = f"$(touch {marker}); `touch {marker}` \" ' {{{{ 1 }}}}"
    run = trigger("form", NOTE=note, state_id_suffix="by-hand", log_level="debug")
    assert wait_until(lambda: finished(api, run), 120, "its end") == "success"
    assert query(airflow.warehouse, "SELECT DISTINCT note FROM form.days") == [(note,)]
    assert not marker.exists()

    [(run_id, reason)] = meltano(
        project,
        "SELECT run_id, trigger FROM runs WHERE job_name = ?",
        "dev:tap-form-to-target-duckdb:by-hand",
    )
    (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
    assert run_id == task["id"].replace("-", "")
    assert reason == f"airflow:form/{run.rpartition('/')[2]}"
    assert bookmark(project, "dev:tap-form-to-target-duckdb") is None

    runs = "dags/afterwards/dagRuns"
    (later,) = wait_until(lambda: api.get(runs).json()["dag_runs"], 60, "the run after")
    assert later["run_type"] == "asset_triggered"
    done = f"{runs}/{later['dag_run_id']}"
    assert wait_until(lambda: finished(api, done), 120, "its end") == "success"


def test_rows_are_told_with_the_assets_and_missing_ones_fail_the_task(api, trigger, read_log):
    run = trigger("expecting")
    assert wait_until(lambda: finished(api, run), 120, "its end") == "failed"
    (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
    assert task["try_number"] == 1
    assert "stream nothing: expected at least 1 rows, got 0" in read_log(run)

    run = trigger("reference_data", full_refresh=True)
    assert wait_until(lambda: finished(api, run), 120, "its end") == "success"
    events = asset_events(api, run)
    assert {each["name"] for each in events} == {
        "reference_data",
        "dev:tap-spreadsheets-to-target-warehouse",
    }
    assert events[0]["extra"]["rows"] == {"countries": 249, "time_zones": 312}


def test_a_dry_run_moves_nothing_and_nothing_runs_after_it(api, project, trigger, read_log):
    run = trigger("form", dry_run=True, NOTE="dry")
    wait_until(lambda: finished(api, run), 120, "its end")
    (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
    assert task["state"] == "skipped"
    assert "tap-form" in read_log(run)
    assert bookmark(project, "dev:tap-form-to-target-duckdb") is None
    assert asset_events(api, run) == []


@pytest.mark.faults
def test_a_backfill_loads_its_window_again_and_moves_no_bookmark(airflow, api, project, trigger):
    run = trigger("windows")
    assert wait_until(lambda: finished(api, run), 120, "its end") == "success"
    assert count(airflow.warehouse, "windows.days") == 10
    before = bookmark(project, "dev:tap-windows-to-target-duckdb")
    assert "2026-10-11" in before
    latest = "SELECT max(loaded) FROM windows.days"
    [(first_load,)] = query(airflow.warehouse, latest)

    window = {
        "dag_id": "windows",
        "from_date": "2026-10-04T00:00:00Z",
        "to_date": "2026-10-06T00:00:00Z",
        "max_active_runs": 1,
    }
    api.post("backfills", json=window).raise_for_status()
    runs = "dags/windows/dagRuns"
    ended = {"run_type": "backfill", "state": ["success", "failed"]}

    def all_ended():
        found = api.get(runs, params=ended).json()["dag_runs"]
        return found if len(found) == 3 else None

    found = wait_until(all_ended, 180, "the backfill's runs")
    assert {each["state"] for each in found} == {"success"}
    times = sorted((each["start_date"], each["end_date"]) for each in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))

    again = f"SELECT day FROM windows.days WHERE loaded > {first_load} ORDER BY day"  # noqa: S608
    days = [day for (day,) in query(airflow.warehouse, again)]
    assert days == ["2026-10-03", "2026-10-04", "2026-10-05"]
    assert count(airflow.warehouse, "windows.days") == 10
    assert bookmark(project, "dev:tap-windows-to-target-duckdb") == before
    suffixed = "SELECT count(*) FROM state WHERE state_id LIKE '%windows%backfill'"
    assert meltano(project, suffixed) == [(0,)]


@pytest.mark.faults
@pytest.mark.usefixtures("project")
def test_a_backfill_without_a_number_of_runs_never_runs_a_task_twice_at_a_time(api):
    dates = [f"2026-10-0{day}T00:00:00" for day in (4, 5, 6)]
    window = {"dag_id": "many", "from_date": f"{dates[0]}Z", "to_date": f"{dates[-1]}Z"}
    assert api.post("backfills", json=window).raise_for_status().json()["max_active_runs"] == 10
    runs = [f"dags/many/dagRuns/backfill__{date}+00:00" for date in dates]
    wait_until(lambda: api.get(runs[-1]).status_code == 200, 60, "the backfill's runs")
    for run in runs:
        assert wait_until(lambda run=run: finished(api, run), 180, "its end") == "success"

    active = [api.get(run).json() for run in runs]
    last_start = max(each["start_date"] for each in active)
    assert last_start < min(each["end_date"] for each in active)
    tasks = api.get("dags/many/dagRuns/~/taskInstances", params={"state": "success"})
    times = [(each["start_date"], each["end_date"]) for each in tasks.json()["task_instances"]]
    assert len(times) >= len(runs)
    assert all(end <= start for (_, end), (start, _) in pairwise(sorted(times)))


@pytest.mark.faults
def test_a_schedule_of_the_older_form_runs_and_a_backfill_of_the_command_has_a_state_of_its_own(
    airflow, api, project, trigger
):
    run = trigger("older")
    assert wait_until(lambda: finished(api, run), 120, "its end") == "success"
    assert count(airflow.warehouse, "older.days") == 10
    before = bookmark(project, "older")
    window = ("--from-date=2026-10-04", "--to-date=2026-10-04", "--max-active-runs=1")
    argv = ["airflow", "backfill", "create", "--dag-id=older", *window]
    subprocess.run(argv, env=airflow.local.environ, check=True, capture_output=True)
    backfill = "dags/older/dagRuns/backfill__2026-10-04T00:00:00+00:00"
    wait_until(lambda: api.get(backfill).status_code == 200, 60, "the backfill's run")
    assert wait_until(lambda: finished(api, backfill), 120, "its end") == "success"
    loaded = "SELECT day FROM older.days ORDER BY loaded DESC LIMIT 1"
    assert query(airflow.warehouse, loaded) == [("2026-10-03",)]
    assert bookmark(project, "older") == before


def test_schedules_that_differ_share_a_dag_and_each_run_says_whose_it_is(airflow, api, project):
    dag = shown(api, "ticks")
    assert dag["timetable_summary"] == (
        "each minute: * * * * *, night in Tokyo: 30 3 1 1 * (Asia/Tokyo)"
    )
    assert dag["timetable_description"].startswith("each minute: Every minute; night in Tokyo: At ")
    scheduled = {"run_type": "scheduled", "state": "success"}

    def ran():
        return api.get("dags/ticks/dagRuns", params=scheduled).json()["dag_runs"]

    run = wait_until(ran, 180, "a scheduled run")[0]
    assert "__each_minute__since_" in run["dag_run_id"]
    assert "Tokyo" not in run["dag_run_id"]
    [(note,)] = query(airflow.warehouse, "SELECT DISTINCT note FROM ticks.days")
    which, start = note.split()
    assert which == "minute"
    assert start.endswith(":00Z")
