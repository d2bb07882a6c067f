"""The local runner against a real Meltano, with a tap and a target of a few lines."""

import os
import signal
import stat
import threading
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from running import wait_until

from dag_factory.runners.local import MeltanoOperator

PROJECT = """
default_environment: dev
project_id: test
environments: [{name: dev}]
plugins:
  extractors:
  - {name: tap-a, namespace: tap_a, executable: ./tap, capabilities: []}
  loaders:
  - {name: target-x, namespace: target_x, executable: ./target}
"""
TAP_HEAD = "#!/bin/sh\n"
TARGET = "#!/bin/sh\ncat > received\n"
RECORD = """echo '{"type": "RECORD", "stream": "s", "record": {"id": 1}}'"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "meltano.yml").write_text(PROJECT)
    write_executable(tmp_path / "target", TARGET)
    return tmp_path


def write_executable(file, text):
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def run(project, tap, run_type="manual", **changes):
    write_executable(project / "tap", TAP_HEAD + tap)
    operator = make_operator(project, **changes)
    operator.execute(context(run_type))


def make_operator(project, **changes):
    arguments = {
        "task_id": "t",
        "argv": ["meltano", "run", "--no-install", "tap-a", "target-x"],
        "project_root": str(project),
        "environment": "dev",
        "schedule_env": {"GREETING": "from the schedule"},
    }
    return MeltanoOperator(**arguments | changes)


def context(run_type="manual"):
    return {"dag_run": SimpleNamespace(run_type=run_type, dag_id="j", run_id="r1")}


def test_a_run_moves_what_the_tap_says_to_the_target(project):
    run(project, RECORD)
    assert '"id": 1' in (project / "received").read_text()


def test_a_failing_tap_fails_the_task_with_its_own_words(project):
    with pytest.raises(AirflowException, match="exit code 1: tap-a: ValueError: no such account"):
        run(project, "echo 'ValueError: no such account' >&2; exit 3")


def test_a_meltano_that_is_killed_is_told_by_the_signals_name(project):
    operator = make_operator(project, argv=["sh", "-c", "kill -9 $$"])
    with pytest.raises(AirflowException, match="killed by SIGKILL: it wrote no error"):
        operator.execute(context())


def test_without_meltano_there_is_one_clear_error_and_no_retry(project):
    with pytest.raises(AirflowFailException, match="`meltan` is not installed"):
        make_operator(project, argv=["meltan"]).execute(context())


def test_a_kill_reaches_meltano_and_the_tap_and_is_told(project):
    write_executable(project / "tap", TAP_HEAD + "echo $$ > tap.pid\nexec sleep 600\n")
    operator = make_operator(project)
    pid_file = project / "tap.pid"

    def kill_when_it_runs():
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60, "the tap")
        operator.on_kill()

    killer = threading.Thread(target=kill_when_it_runs)
    killer.start()
    with pytest.raises(AirflowException, match="Meltano was stopped"):
        operator.execute(context())
    killer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), signal.SIGCONT)


def test_a_kill_that_comes_before_the_process_is_not_lost(project):
    operator = make_operator(project, argv=["sleep", "600"])
    operator.on_kill()
    with pytest.raises(AirflowException, match="Meltano was stopped"):
        operator.execute(context())


def test_a_meltano_that_does_not_heed_sigterm_is_killed(project):
    ready = project / "ready"
    argv = ["sh", "-c", "trap '' TERM; touch ready; while :; do :; done"]
    operator = make_operator(project, argv=argv)

    def kill_when_it_runs():
        wait_until(ready.exists, 60, "the process")
        operator.on_kill()

    threading.Thread(target=kill_when_it_runs).start()
    with pytest.raises(AirflowException, match="killed by SIGKILL"):
        operator.execute(context())


def test_only_scheduled_runs_get_the_schedules_env(project):
    operator = make_operator(project)

    def greeting(run_type):
        return operator.process_environment(context(run_type)["dag_run"]).get("GREETING")

    assert greeting("scheduled") == greeting("backfill") == "from the schedule"
    assert greeting("manual") is None


def test_airflows_own_variables_stay_with_airflow(project, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_X", "secret")
    monkeypatch.setenv("TAP_A_REGION", "wanted")
    environment = make_operator(project).process_environment(context()["dag_run"])
    assert "secret" not in environment.values()
    assert environment["TAP_A_REGION"] == "wanted"


def test_meltanos_run_table_points_back_at_the_airflow_run(project):
    environment = make_operator(project).process_environment(context()["dag_run"])
    assert environment["MELTANO_JOB_TRIGGER"] == "airflow:j/r1"
    assert environment["MELTANO_ENVIRONMENT"] == "dev"
