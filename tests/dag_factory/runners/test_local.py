"""The local runner against a real Meltano, with a tap and a target of a few lines."""

import os
import signal
import stat
import threading

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from running import wait_until

from dag_factory.runners.local import MeltanoOperator
from dag_factory.runs import PreparedRun

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


def run(project, tap):
    write_executable(project / "tap", TAP_HEAD + tap)
    make_operator(project).execute({})


def make_operator(project, *argv, **variables):
    argv = argv or ("meltano", "run", "--no-install", "tap-a", "target-x")
    return MeltanoOperator(
        task_id="t",
        prepare=lambda _: PreparedRun(argv, variables),
        project_root=str(project),
        environment="dev",
    )


def test_a_run_moves_what_the_tap_says_to_the_target(project):
    run(project, RECORD)
    assert '"id": 1' in (project / "received").read_text()


def test_a_chosen_stream_of_which_nothing_is_counted_is_named(project, caplog):
    write_executable(project / "tap", TAP_HEAD + RECORD)
    operator = make_operator(project)
    argv = ("meltano", "run", "--no-install", "tap-a", "target-x")
    operator.prepare = lambda _: PreparedRun(argv, {}, streams=("rivers",))
    operator.execute({})
    assert "Nothing was counted of rivers: is it the name of a stream?" in caplog.text


def test_a_dry_run_moves_nothing_and_skips_what_comes_after(project):
    argv = ("meltano", "run", "--no-install", "--dry-run", "tap-a", "target-x")
    write_executable(project / "tap", TAP_HEAD + RECORD)
    operator = MeltanoOperator(
        task_id="t",
        prepare=lambda _: PreparedRun(argv, {}, is_dry=True),
        project_root=str(project),
        environment="dev",
    )
    with pytest.raises(AirflowSkipException):
        operator.execute({})
    assert not (project / "received").exists()


def test_a_failing_tap_fails_the_task_with_its_own_words(project):
    with pytest.raises(AirflowException, match="exit code 1: tap-a: ValueError: no such account"):
        run(project, "echo 'ValueError: no such account' >&2; exit 3")


def test_a_meltano_that_is_killed_is_told_by_the_signals_name(project):
    operator = make_operator(project, "sh", "-c", "kill -9 $$")
    with pytest.raises(AirflowException, match="killed by SIGKILL: it wrote no error"):
        operator.execute({})


def test_without_meltano_there_is_one_clear_error_and_no_retry(project):
    with pytest.raises(AirflowFailException, match="`meltan` is not installed"):
        make_operator(project, "meltan").execute({})


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
        operator.execute({})
    killer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), signal.SIGCONT)


def test_a_kill_that_comes_before_the_process_is_not_lost(project):
    operator = make_operator(project, "sleep", "600")
    operator.on_kill()
    with pytest.raises(AirflowException, match="Meltano was stopped"):
        operator.execute({})


def test_a_meltano_that_does_not_heed_sigterm_is_killed(project):
    ready = project / "ready"
    script = "trap '' TERM; touch ready; while :; do :; done"
    operator = make_operator(project, "sh", "-c", script)

    def kill_when_it_runs():
        wait_until(ready.exists, 60, "the process")
        operator.on_kill()

    threading.Thread(target=kill_when_it_runs).start()
    with pytest.raises(AirflowException, match="killed by SIGKILL"):
        operator.execute({})


def test_airflows_own_variables_stay_with_airflow(project, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_X", "secret")
    monkeypatch.setenv("TAP_A_REGION", "wanted")
    environment = make_operator(project).process_environment({"AIRFLOW_CTX_DAG_ID": "j"})
    assert "secret" not in environment.values()
    assert environment["TAP_A_REGION"] == "wanted"
    assert environment["AIRFLOW_CTX_DAG_ID"] == "j"
    assert environment["MELTANO_ENVIRONMENT"] == "dev"


def test_a_variable_that_cannot_be_one_fails_at_once_and_is_named(project):
    operator = make_operator(project, SHOP_REGION="a\0b")
    with pytest.raises(AirflowFailException, match="the value of SHOP_REGION holds a NUL"):
        operator.execute({})
