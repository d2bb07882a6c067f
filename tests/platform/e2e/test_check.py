"""`meltano-dags check --airflow`, beside a running Airflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import RunningAirflow, wait_until

JOB = {
    "name": "lacking",
    "tasks": ["tap-spreadsheets target-warehouse"],
    "annotations": {
        "airflow": {
            "email": "data@example.com",
            "pool": "nowhere",
            "notify": [{"class": "nowhere.Notifier"}],
            "dag": {"dagrun_timout": "2h"},
            "pod_override": {"spec": {"restartPolice": "Never"}},
        }
    },
}

DIFFERING = {**JOB, "name": "differing", "annotations": {"airflow": {"paused": True}}}
SCHEDULES = [
    {"name": "often", "job": "differing", "interval": "@daily"},
    {"name": "seldom", "job": "differing", "interval": "@weekly", "env": {"FULL": "1"}},
]
WITHOUT_PLUGINS = """
import sys
from airflow._shared import module_loading
from dag_factory.cli.main import main

module_loading._get_grouped_entry_points()["airflow.plugins"] = []
sys.exit(main())
"""


def check(airflow: RunningAirflow, *program: str):
    project = airflow.checkout / "meltano"
    program = program or ("meltano-dags",)
    done = subprocess.run(
        [*program, "check", "--airflow", "--format=json", "--project", str(project)],
        env=airflow.local.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return {each["code"]: each for each in json.loads(done.stdout)}


def test_what_only_airflow_knows_is_found_with_its_line(airflow, api, edit):
    edit(lambda data: data["jobs"].append(JOB))
    found = check(airflow)
    assert set(found) == {"MDF015", "MDF041", "MDF043", "MDF044", "MDF045", "MDF046"}
    lines = Path(airflow.checkout / "meltano/meltano.yml").read_text().splitlines()
    assert "dagrun_timout: 2h" in lines[found["MDF041"]["line"] - 1]
    assert "pool: nowhere" in lines[found["MDF043"]["line"] - 1]
    assert "notify:" in lines[found["MDF044"]["line"] - 1]
    assert "email:" in lines[found["MDF045"]["line"] - 1]
    assert "restartPolice:" in lines[found["MDF046"]["line"] - 1]
    assert "airflow pools set nowhere" in found["MDF043"]["hint"]

    api.post("pools", json={"name": "nowhere", "slots": 1}).raise_for_status()
    connection = {"connection_id": "smtp_default", "conn_type": "smtp", "host": "127.0.0.1"}
    api.post("connections", json=connection).raise_for_status()
    try:
        assert not {"MDF043", "MDF045"} & set(check(airflow))
    finally:
        api.delete("pools/nowhere").raise_for_status()
        api.delete("connections/smtp_default").raise_for_status()


def test_a_timetable_that_airflow_has_not_loaded_is_named(airflow, edit):
    """It is what a component says where this package is not installed."""

    def add_job(data):
        data["jobs"].append(DIFFERING)
        data["schedules"] += SCHEDULES

    edit(add_job)
    assert "MDF042" not in check(airflow)
    found = check(airflow, sys.executable, "-c", WITHOUT_PLUGINS)
    assert "'differing' needs this package's timetable" in found["MDF042"]["message"]


def test_a_task_of_a_missing_pool_says_so_in_its_details(api, edit, trigger):
    job = {**JOB, "name": "pooled", "annotations": {"airflow": {"pool": "nowhere"}}}
    edit(lambda data: data["jobs"].append(job))
    wait_until(lambda: api.get("dags/pooled").status_code == 200, 60, "the DAG")
    run = trigger("pooled")
    task = f"{run}/taskInstances/tap-spreadsheets-to-target-warehouse"
    wait_until(lambda: api.get(task).json()["state"] == "scheduled", 60, "the task")
    (reason,) = api.get(f"{task}/dependencies").json()["dependencies"]
    assert "non-existent pool 'nowhere'" in reason["reason"]
    api.patch(run, json={"state": "failed"}).raise_for_status()


@pytest.mark.usefixtures("airflow")
def test_without_a_database_one_line_says_what_to_do(airflow, tmp_path):
    environ = airflow.local.environ | {"AIRFLOW_HOME": str(tmp_path)}
    argv = ["meltano-dags", "check", "--airflow", "--project", str(airflow.checkout / "meltano")]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Airflow's database cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
