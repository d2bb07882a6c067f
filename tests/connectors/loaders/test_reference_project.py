"""The reference project in production: the same jobs load into Snowflake, here the emulator."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.running import copy_checkout, stand_in

pytestmark = pytest.mark.faults
BIN = Path(sys.executable).parent
RUNS = """
create or replace table tap_airflow.dag_runs (
    dag_id text, dag_run_id text, state text, run_type text, run_after timestamp_tz, duration float)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, emulator):
    """The project in which production's warehouse is the emulator."""
    root = copy_checkout(tmp_path_factory.mktemp("production")) / "meltano"
    # Meltano hands no PYTHONPATH on.
    found = f"env PYTHONPATH={emulator.environ['PYTHONPATH']}"
    stand_in(root, "loaders/target-snowflake", f"{found} {emulator.executable}")
    account = emulator.account
    login = f"{account['user']}:{account['password']}@{account['account']}/{account['database']}"
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MELTANO_", "TARGET_"))},
        **emulator.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "MELTANO_ENVIRONMENT": "prod",
        "SNOWFLAKE_ACCOUNT": account["account"],
        "TARGET_WAREHOUSE_PASSWORD": account["password"],
        "PLATFORM_HEALTH_WAREHOUSE_URL": f"snowflake://{login}",
        "PLATFORM_HEALTH_REPORT_PATH": str(root / "success-rate.html"),
        "PLATFORM_HEALTH_EXTRACTORS": '["tap-spreadsheets"]',
        "PLATFORM_HEALTH_MAX_AGE": "{}",
    }

    def meltano(*words):
        done = subprocess.run(
            [BIN / "meltano", *words],
            cwd=root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    meltano("install", "extractor", "tap-spreadsheets")
    meltano("install", "utility", "platform-health")
    health = root / ".meltano/utilities/platform-health/venv/bin/platform-health"
    real = health.rename(health.with_name("real"))
    stand_in(root, "utilities/platform-health", f"{found} {real}")
    yield meltano
    for schema in ("tap_spreadsheets", "tap_airflow", "platform"):
        emulator.ask(f"drop schema if exists {schema}")


def test_a_job_loads_into_snowflake_without_a_change(project, emulator):
    project("run", "--no-install", "reference_data")
    assert emulator.ask("select count(*) from tap_spreadsheets.countries") == [[249]]
    assert emulator.ask("select count(*) from tap_spreadsheets.time_zones") == [[312]]


def test_what_looks_after_the_platform_speaks_snowflake(project, emulator):
    emulator.ask("create schema if not exists tap_airflow")
    emulator.ask(RUNS)
    emulator.ask(
        "create or replace table tap_airflow.task_instances ("
        "dag_id text, dag_run_id text, task_id text, map_index int, try_number int)"
    )
    at = datetime.now(UTC) - timedelta(hours=1)
    for number, state in enumerate(("success", "success", "failed")):
        values = f"'crm', 'run {number}', '{state}', 'scheduled', '{at}', {number + 1}"
        emulator.ask(f"insert into tap_airflow.dag_runs values ({values})")  # noqa: S608
    said = project(
        *("run", "--no-install", "success_rate", "freshness", "row_counts", "housekeeping")
    )
    assert "66.7% of 3 scheduled runs succeeded in 7 days" in said
    kept = emulator.ask("select runs, succeeded, p50_seconds from platform.success_rate")
    assert kept == [[3, 2, 2.0]] * 4
    assert emulator.ask("select count(*) from platform.row_counts") == [[2]]
