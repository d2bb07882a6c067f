"""The local runner against a real Meltano, with a tap and a target of a few lines."""

import os
import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from dag_factory.options.expectations import Bounds, Expectation
from dag_factory.planning.secret_names import SecretPlan, parse_secret_name
from dag_factory.runners.local.operator import MeltanoOperator
from dag_factory.runners.prepare import PreparedRun
from tests.support.running import free_port, wait_until
from tests.support.shell_project import (
    COMMAND,
    RECORD,
    SECRETIVE,
    STATE_ID,
    TELL_CONFIG,
    WAITING,
    give_state,
    make_project,
    told_config,
    write_script,
)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def run(project, tap):
    write_script(project / "tap", tap)
    make_operator(project).execute({})


def make_operator(project, *argv, **variables):
    argv = argv or COMMAND
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
    write_script(project / "tap", RECORD)
    operator = make_operator(project)
    operator.prepare = lambda _: PreparedRun(COMMAND, {}, streams=("rivers",))
    operator.execute({})
    assert "The run counted no rows for rivers, chosen in the trigger form" in caplog.text


def test_a_dry_run_moves_nothing_and_skips_what_comes_after(project):
    argv = ("meltano", "run", "--no-install", "--dry-run", "tap-a", "target-x")
    write_script(project / "tap", RECORD)
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
    with pytest.raises(AirflowException, match="killed by SIGKILL: it logged no error"):
        operator.execute({})


def test_without_meltano_there_is_one_clear_error_and_no_retry(project):
    with pytest.raises(AirflowFailException, match="`meltan` is not installed"):
        make_operator(project, "meltan").execute({})


def test_a_kill_reaches_meltano_and_the_tap_and_is_told(project):
    write_script(project / "tap", "echo $$ > tap.pid\nexec sleep 600")
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
    with pytest.raises(AirflowFailException, match="the value of SHOP_REGION contains a NUL"):
        operator.execute({})


def test_a_state_id_that_a_live_run_holds_is_waited_for(project):
    write_script(project / "tap", WAITING)
    first = threading.Thread(target=make_operator(project).execute, args=({},))
    first.start()
    try:
        wait_until((project / "tap.pid").exists, 60, "the first run")
        before = datetime.now(UTC)
        with pytest.raises(AirflowRescheduleException) as waiting:
            make_operator(project).execute({})
    finally:
        (project / "go").touch()
        first.join()
    assert timedelta(minutes=1) <= waiting.value.reschedule_date - before < timedelta(minutes=2)
    make_operator(project).execute({})


@pytest.mark.parametrize(("age", "is_old"), [(timedelta(hours=25), False), (timedelta(0), True)])
def test_rows_that_are_too_old_fail_a_run_that_succeeded(project, age, is_old):
    newest = datetime.now(UTC) - timedelta(hours=24)
    give_state(project, f'{{"bookmarks": {{"s": {{"at": "{newest.isoformat()}"}}}}}}')
    operator = MeltanoOperator(
        task_id="t",
        prepare=lambda _: PreparedRun(
            COMMAND, {}, expect=Expectation(Bounds(max_age=age)), bookmarked=(STATE_ID,)
        ),
        project_root=str(project),
        environment="dev",
    )
    if is_old:
        with pytest.raises(AirflowFailException, match="Meltano succeeded, but the newest row is"):
            operator.execute({})
    else:
        operator.execute({})


CONTENT = "hunter2-and-more"
NAME = "acme/dev/meltano/tap-a"
SECRET = SecretPlan((parse_secret_name(NAME),), of_plugin=True)
FROM_DOTENV = "Settings come from .env: DAG_FACTORY_SECRETS_PREFIX is not set"


@pytest.fixture
def secretive(tmp_path):
    """A project whose tap tells its configuration."""
    return make_project(tmp_path, project=SECRETIVE, tap=TELL_CONFIG)


def execute(project, **run):
    operator = make_operator(project)
    operator.prepare = lambda _: PreparedRun(COMMAND, {}, **run)
    operator.execute({})


def test_a_tap_has_what_its_secret_holds_and_airflow_masks_it(secretive, secrets_manager):
    secrets_manager.put(NAME, {"token": CONTENT, "auth.user": "of the secret"})
    execute(secretive, secrets=(SECRET,))
    assert told_config(secretive) == {"token": CONTENT, "auth": {"user": "of the secret"}}
    assert redact(f"{CONTENT}: {NAME}") == f"***: {NAME}"


def test_neither_log_nor_error_shows_what_a_secret_holds(secretive, secrets_manager, said):
    secrets_manager.put(NAME, {"token": CONTENT})
    write_script(secretive / "tap", f"echo 'ValueError: {CONTENT} is no good' >&2; exit 1")
    with pytest.raises(AirflowException, match=r": tap-a: ValueError: \*\*\* is no good$"):
        execute(secretive, secrets=(SECRET,))
    assert "tap-a: ValueError: *** is no good" in said()
    assert CONTENT not in said()


def test_no_log_shows_a_sensitive_variable_of_the_worker(secretive, monkeypatch, said):
    monkeypatch.setenv("TAP_A_TOKEN", "of the worker")
    write_script(secretive / "tap", 'echo "it is $TAP_A_TOKEN" >&2')
    execute(secretive, sensitive=("TAP_A_TOKEN",))
    assert "tap-a: it is ***" in said()


def test_no_log_shows_a_sensitive_variable_of_dotenv(secretive, secrets_manager, said):
    secrets_manager.put(NAME, {})
    (secretive / ".env").write_text(f"export TAP_A_TOKEN='{CONTENT}'  # of somebody\n")
    write_script(secretive / "tap", f'echo "it is $TAP_A_TOKEN" >&2; {TELL_CONFIG}')
    for secrets in ((), (SECRET,)):
        execute(secretive, sensitive=("TAP_A_TOKEN",), secrets=secrets)
        assert told_config(secretive)["token"] == CONTENT
    assert said().count("tap-a: it is ***") == 2
    assert CONTENT not in said()


def test_a_variable_of_the_worker_goes_before_a_secret_and_the_log_says_so(
    secretive, secrets_manager, monkeypatch, said
):
    monkeypatch.setenv("TAP_A_AUTH_USER", "of the worker")
    secrets_manager.put(NAME, {"auth.user": "of the secret"})
    execute(secretive, secrets=(SECRET,))
    assert told_config(secretive)["auth"] == {"user": "of the worker"}
    assert "TAP_A_AUTH_USER is set where the task runs, which overrides its secret" in said()


def test_a_misspelt_key_is_named_with_the_nearest_setting(secretive, secrets_manager, said):
    secrets_manager.put(NAME, {"tokn": CONTENT})
    execute(secretive, secrets=(SECRET,))
    assert f"{NAME!r} is not a setting of 'tap-a': did you mean 'token'?" in said()
    assert CONTENT not in said()


def test_a_secret_that_is_missing_fails_at_once_and_for_good(secretive, secrets_manager):
    with pytest.raises(AirflowFailException, match=f"^there is no secret '{NAME}' in eu-west-1"):
        execute(secretive, secrets=(SECRET,))
    assert not (secretive / "received").exists()


def test_an_aws_that_is_not_reached_is_tried_again(secretive, aws_environ):
    aws_environ.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AirflowException, match=r"^AWS cannot be reached") as failed:
        execute(secretive, secrets=(SECRET,))
    assert not isinstance(failed.value, AirflowFailException)
    assert not (secretive / "received").exists()


def test_without_a_prefix_settings_come_from_dotenv_and_the_log_says_so_once(secretive, said):
    (secretive / ".env").write_text(f"TAP_A_TOKEN={CONTENT}\n")
    execute(secretive, sensitive=("TAP_A_TOKEN",))
    assert told_config(secretive)["token"] == CONTENT
    assert said().count(FROM_DOTENV) == 1


@pytest.mark.parametrize(
    ("has_dotenv", "run"),
    [
        (True, {}),
        (False, {"sensitive": ("TAP_A_TOKEN",)}),
        (True, {"sensitive": ("TAP_A_TOKEN",), "secrets": (SECRET,)}),
    ],
)
def test_nothing_is_said_of_dotenv_where_there_is_nothing_to_say(
    secretive, secrets_manager, said, has_dotenv, run
):
    secrets_manager.put(NAME, {})
    if has_dotenv:
        (secretive / ".env").touch()
    execute(secretive, **run)
    assert "Running meltano run" in said()
    assert ".env" not in said()
