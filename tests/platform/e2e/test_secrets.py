"""A job of a real Airflow whose tap has its secret from AWS alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell_project import SECRETIVE, TELL_CONFIG, make_project, told_config

LOADER = """
from dag_factory import build_airflow_dags
globals().update(build_airflow_dags())
"""
NAME = "acme/dev/meltano/tap-a"


@pytest.fixture
def airflow_home(tmp_path, secrets_manager):
    """An Airflow with a database of its own."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/jobs.py").write_text(LOADER)
    run_airflow(tmp_path, "db", "migrate")
    return tmp_path


def run_airflow(home, *argv):
    """Run a command of Airflow's, and return all that it prints."""
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "DAG_FACTORY_SECRETS_PREFIX": "acme",
        "MELTANO_PROJECT_ROOT": str(home / "meltano"),
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("airflow"), *argv],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.faults
def test_each_task_has_what_its_secret_holds_then_and_nobody_else_hears_of_it(
    airflow_home, secrets_manager
):
    root = airflow_home / "meltano"
    root.mkdir()
    make_project(root, project=SECRETIVE, tap=f"echo it is $TAP_A_TOKEN >&2; {TELL_CONFIG}")
    values = ["hunter2-and-more", "another-after-all"]
    secrets_manager.put(NAME, {})
    for value in values:
        secrets_manager.change(NAME, {"token": value})
        said = run_airflow(airflow_home, "dags", "test", "a")
        assert told_config(root)["token"] == value
        assert "it is ***" in said
        assert value not in said
    left = [file.read_bytes() for file in airflow_home.rglob("*") if file.is_file()]
    assert b"SQLite format 3" in {each[:15] for each in left}
    holding = [each for each in left if any(value.encode() in each for value in values)]
    assert holding == [(root / "received").read_bytes()]
