"""`meltano-task` as a container starts it: a process, with a real Meltano below it."""

import os
import re
import signal
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dag_factory.exit_codes import ExitCode
from dag_factory.meltano_process.process import find_command
from dag_factory.meltano_process.result import MAX_BYTES, RunSummary
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.support.running import free_port, wait_until
from tests.support.shell_project import (
    COMMAND,
    PROJECT,
    RECORD,
    SECRETIVE,
    STATE_ID,
    TELL_CONFIG,
    WAITING,
    give_state,
    make_project,
    told_config,
)
from tests.support.shell_project import write_script as write

JOB = "jobs: [{name: load, tasks: [tap-a target-x]}]\n"
OLDER = """
schedules: [{name: older, extractor: both, loader: both, transform: skip, interval: '@daily'}]
"""
METRIC = '{"type": "counter", "metric": "record_count", "value": 3, "tags": {"stream": "%s"}}'


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    return make_project(root)


def digest(root, text=PROJECT + JOB):
    """Return the digest of the one task of a project as Airflow has it."""
    airflows = root.parent / f"{root.name}-of-airflow"
    airflows.mkdir(exist_ok=True)
    (airflows / "meltano.yml").write_text(text)
    [plan], problems = plans_and_problems(Settings(airflows))
    assert problems == ()
    return plan.tasks[0].digest


def environ(root, **variables):
    path = f"{Path(find_command('meltano')).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {"MELTANO_PROJECT_ROOT": str(root), "MELTANO_ENVIRONMENT": "dev", "PATH": path}
    return {**os.environ, **ours, **variables}


def arguments(root, *options, command=COMMAND):
    log = f"--termination-log={root / 'termination-log'}"
    return [find_command("meltano-task"), log, *options, "--", *command]


def run(root, *options, command=COMMAND, **variables):
    """Run the entrypoint; return what it was, and the summary that it left."""
    done = subprocess.run(
        arguments(root, *options, command=command),
        env=environ(root, **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done, summary_of(root)


def summary_of(root):
    written = (root / "termination-log").read_bytes()
    assert len(written) <= MAX_BYTES
    return RunSummary.from_json(written.decode())


def test_a_run_gives_back_what_meltano_gives_and_leaves_a_summary(project):
    write(project / "tap", f"{RECORD}; echo 'INFO METRIC: {METRIC % 's'}' >&2")
    give_state(project, '{"bookmarks": {"s": {"at": "2026-11-02T12:00:00Z"}}}')
    options = (f"--digest={digest(project)}", "--extractor=tap-a", f"--bookmark={STATE_ID}")
    done, summary = run(project, *options)
    assert done.returncode == 0, done.stdout
    assert summary == RunSummary(
        0, rows={"s": 3}, counted=True, newest={"s": datetime(2026, 11, 2, 12, tzinfo=UTC)}
    )
    assert "Run completed" in done.stdout
    assert "tap-a: INFO METRIC: " in done.stdout


def test_a_failure_is_given_back_with_its_last_error_and_lines_show_their_levels(project):
    write(project / "tap", "echo 'ValueError: no such account' >&2; exit 3")
    done, summary = run(project)
    assert done.returncode == summary.exit_code == 1
    assert summary.error == "tap-a: ValueError: no such account"
    assert re.search(r"^ERROR: .*Extractor failed", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("executable: ./tap", "executable: ./tap, config: {x: 1}"),
        ("{name: dev}", "{name: dev, env: {A: b}}"),
        ("project_id: test", "project_id: test\nenv: {A: b}"),
    ],
)
def test_an_image_of_another_version_is_one_line_and_nothing_is_run(project, old, new):
    wanted = digest(project, PROJECT.replace(old, new) + JOB)
    done, summary = run(project, f"--digest={wanted}")
    assert done.returncode == summary.exit_code == ExitCode.CONFIG_ERROR
    assert done.stdout == f"ERROR: {summary.error}\n"
    what = f"the image and the DAG have different versions of {project / 'meltano.yml'}"
    assert summary.error.startswith(f"{what}: tap-a, target-x, or the `env` of the project or of")
    assert "build a new image and set MELTANO_IMAGE" in summary.error
    assert not (project / "received").exists()


def test_what_the_task_does_not_need_may_differ(project):
    others = "schedules: [{name: s, job: load, interval: '@daily'}]\n"
    others += "annotations: {airflow: {retries: 5}}\n"
    done, _ = run(project, f"--digest={digest(project, PROJECT + JOB + others)}")
    assert done.returncode == 0


def test_without_a_digest_nothing_is_compared(project):
    (project / "meltano.yml").write_text(PROJECT.replace("./tap", "./tap, config: {x: 1}"))
    assert run(project)[0].returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROJECT.replace("tap-a", "tap-b"), "the image has no 'tap-a'; build a new image"),
        (PROJECT.replace("dev", "prod"), "the image has no environment 'dev'; build a new image"),
        ("plugins: [", "meltano.yml:"),
        (None, "meltano.yml:1:1: MDF001"),
    ],
)
def test_an_image_that_lacks_what_the_task_needs_says_what(project, text, said):
    wanted = digest(project)
    (project / "meltano.yml").unlink()
    if text is not None:
        (project / "meltano.yml").write_text(text)
    done, summary = run(project, f"--digest={wanted}")
    assert done.returncode == ExitCode.CONFIG_ERROR
    assert said in summary.error
    assert done.stdout.count("\n") == 1


def test_an_image_without_meltano_says_so(project):
    done, summary = run(project, command=("melt", "run"))
    assert done.returncode == ExitCode.CONFIG_ERROR
    assert summary.error == "`melt` is not in the image; install it there"


def test_a_command_that_the_system_does_not_start_leaves_a_summary(project):
    file = project / "broken"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    done, summary = run(project, command=(str(file), "run"))
    assert done.returncode == ExitCode.OS_ERROR
    assert f"{file} cannot be run: [Errno 2] No such file or directory" in summary.error
    assert done.stdout == f"ERROR: {summary.error}\n"


def test_the_path_of_an_image_need_not_hold_the_environment_of_meltano(project):
    done, _ = run(project, PATH=os.defpath)
    assert done.returncode == 0, done.stdout


def test_the_older_form_finds_its_plugins_by_their_types(project):
    text = PROJECT.replace("tap-a", "both").replace("target-x", "both")
    (project / "meltano.yml").write_text(text)
    command = ("meltano", "elt", "--no-install", "both", "both", "--transform=skip")
    wanted = digest(project, text + OLDER)
    done, _ = run(project, f"--digest={wanted}", command=(*command, "--state-id=older"))
    assert done.returncode == 0, done.stdout
    assert '"id": 1' in (project / "received").read_text()


def test_sigterm_reaches_meltano_and_the_tap_and_143_comes_back(project):
    write(project / "tap", WAITING)
    process = subprocess.Popen(
        arguments(project), env=environ(project), stdout=subprocess.PIPE, text=True
    )
    wait_until((project / "tap.pid").exists, 60, "the tap")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert summary_of(project).exit_code == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((project / "tap.pid").read_text()), signal.SIGCONT)


def test_who_does_not_heed_a_stop_is_killed_when_the_patience_ends(project):
    command = ("sh", "-c", "trap '' TERM; touch ready; while :; do sleep 1; done")
    process = subprocess.Popen(
        arguments(project, "--patience=0.5", command=command), env=environ(project)
    )
    wait_until((project / "ready").exists, 60, "the process")
    process.send_signal(signal.SIGTERM)
    # The default is 20.
    assert process.wait(15) == 128 + signal.SIGKILL
    assert summary_of(project).exit_code == -signal.SIGKILL


def test_a_meltano_that_is_killed_is_told_by_the_signal(project):
    done, summary = run(project, command=("sh", "-c", "kill -9 $$"))
    assert done.returncode == 128 + signal.SIGKILL
    assert summary.exit_code == -signal.SIGKILL


def test_a_state_id_that_is_held_is_code_75(project):
    write(project / "tap", WAITING)
    first = subprocess.Popen(
        [find_command(COMMAND[0]), *COMMAND[1:]],
        cwd=project,
        env=environ(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((project / "tap.pid").exists, 60, "the first run")
        done, summary = run(project)
    finally:
        (project / "go").touch()
        assert first.wait(60) == 0
    assert done.returncode == summary.exit_code == ExitCode.LOCKED
    assert "already running" in summary.error


def test_a_thousand_streams_and_a_long_error_fit_where_kubernetes_reads_them(project):
    lines = "\n".join(f"INFO METRIC: {METRIC % f'ström_{number}'}" for number in range(1000))
    (project / "log").write_text(f"{lines}\nValueError: {'größer 🚀 ' * 1000}\n")
    write(project / "tap", "cat log >&2; exit 3")
    done, summary = run(project, "--extractor=tap-a")
    assert done.returncode == 1
    assert summary.error.startswith("tap-a: ValueError: größer 🚀 größer")
    assert (summary.is_part, summary.counted) == (True, True)
    assert summary.rows


def test_text_that_is_none_ends_no_run(project):
    write(project / "tap", r"""printf '\377\376 \355\240\200 broken\n' >&2""" + f"; {RECORD}")
    done, _ = run(project, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "broken" in done.stdout


def test_what_it_writes_is_for_its_user_alone(project):
    command = ("sh", "-c", "touch secret")
    run(project, command=command)
    assert stat.S_IMODE((project / "secret").stat().st_mode) == 0o600


def test_a_termination_log_that_cannot_be_written_fails_no_run(project):
    argv = arguments(project)
    argv[1] = "--termination-log=/nowhere/log"
    done = subprocess.run(argv, env=environ(project), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


CONTENT = "hunter2-and-more"
NAME = "acme/dev/meltano/tap-a"
SECRETS = ("--plugin-secret", NAME, "--plugin-secret", "acme/dev/meltano/target-x")
SECRETS += ("--secret", "acme/dev/meltano/shared")


@pytest.fixture
def secretive(tmp_path, secrets_manager):
    """A project whose tap tells its configuration, and whose other secrets hold nothing."""
    for name in ("target-x", "shared"):
        secrets_manager.put(f"acme/dev/meltano/{name}", {})
    return make_project(tmp_path, project=SECRETIVE, tap=TELL_CONFIG)


def test_a_tap_has_what_its_secret_holds_as_meltano_reads_it(secretive, secrets_manager):
    values = {"token": CONTENT, "ids": [1, "a"], "options": {"a": {"b": None}}, "port": 5432}
    secrets_manager.put(NAME, {**values, "is_on": False})
    done, _ = run(secretive, *SECRETS)
    assert done.returncode == 0, done.stdout
    assert told_config(secretive) == {
        **values,
        "is_on": False,
        "auth": {"user": "of meltano.yml"},
    }


def test_text_is_read_as_meltano_reads_a_variable(secretive, secrets_manager):
    values = {"key": CONTENT, "auth.user": "me", "ids": "[1]", "port": "5432", "is_on": "no"}
    secrets_manager.put(NAME, values)
    run(secretive, *SECRETS)
    assert told_config(secretive) == {
        "token": CONTENT,
        "auth": {"user": "me"},
        "ids": [1],
        "port": 5432,
        "is_on": False,
    }


def test_a_dollar_in_a_secret_is_a_dollar(secretive, secrets_manager):
    secrets_manager.put(NAME, {"token": "a$HOME ${HOME} $$ b", "options": {"a": "$HOME"}})
    run(secretive, *SECRETS)
    found = told_config(secretive)
    assert (found["token"], found["options"]) == ("a$HOME ${HOME} $$ b", {"a": "$HOME"})


@pytest.mark.parametrize(
    ("own", "parents", "expected"),
    [
        (None, {"token": "p", "ids": [1]}, {"token": "p", "ids": [1]}),
        ({"token": "o"}, None, {"token": "o"}),
        ({"token": "o"}, {"token": "p", "ids": [1]}, {"token": "o", "ids": [1]}),
    ],
)
def test_a_secret_goes_before_that_of_the_plugin_it_inherits_from(
    secretive, secrets_manager, own, parents, expected
):
    for name, values in (("tap-b", own), ("tap-a", parents)):
        if values is not None:
            secrets_manager.put(f"acme/dev/meltano/{name}", values)
    command = (*COMMAND[:3], "tap-b", "target-x")
    done, _ = run(secretive, "--plugin-secret", "acme/dev/meltano/tap-b", NAME, command=command)
    assert done.returncode == 0, done.stdout
    assert told_config(secretive).items() >= expected.items()


def test_a_variable_that_is_set_goes_before_a_secret_and_the_log_says_so(
    secretive, secrets_manager
):
    secrets_manager.put(NAME, {"token": "of the secret", "auth.user": CONTENT})
    done, _ = run(secretive, *SECRETS, TAP_A_AUTH_USER="of the pod")
    assert told_config(secretive) == {"token": "of the secret", "auth": {"user": "of the pod"}}
    assert "TAP_A_AUTH_USER is set where the task runs, which overrides its secret\n" in done.stdout


def test_variables_of_a_secret_reach_the_process_but_not_its_arguments(secretive, secrets_manager):
    secrets_manager.put(NAME, {})
    secrets_manager.put("acme/dev/meltano/proxy", {"HTTPS_PROXY": CONTENT})
    command = (
        "sh",
        "-c",
        "printenv HTTPS_PROXY > proxy; tr '\\0' ' ' < /proc/$PPID/cmdline > argv",
    )
    run(secretive, "--secret", "acme/dev/meltano/proxy", command=command)
    assert (secretive / "proxy").read_text() == f"{CONTENT}\n"
    arguments = (secretive / "argv").read_text()
    assert "acme/dev/meltano/proxy" in arguments
    assert CONTENT not in arguments


def test_no_line_and_no_summary_shows_what_a_secret_holds(secretive, secrets_manager):
    secrets_manager.put(NAME, {"token": CONTENT, "options": {"key": "line one\nline two"}})
    lines = f"echo 'line two: {CONTENT}' >&2; echo 'ValueError: {CONTENT} is no good' >&2; exit 1"
    write(secretive / "tap", lines)
    done, summary = run(secretive, *SECRETS)
    assert summary.error == "tap-a: ValueError: *** is no good"
    assert "tap-a: ***: ***\n" in done.stdout
    assert CONTENT not in done.stdout + done.stderr


def test_a_misspelt_key_is_a_warning_that_names_the_nearest_setting(secretive, secrets_manager):
    secrets_manager.put(NAME, {"tokn": CONTENT})
    done, _ = run(secretive, *SECRETS)
    assert done.returncode == 0
    warning = f"'tokn' in the secret {NAME!r} is not a setting of 'tap-a': did you mean 'token'?"
    assert f"WARNING: {warning}\n" in done.stdout
    assert CONTENT not in done.stdout


def test_no_line_shows_the_value_of_a_sensitive_variable(secretive):
    write(secretive / "tap", f"echo 'ValueError: {CONTENT} is no good' >&2; exit 1")
    done, summary = run(
        secretive, "--sensitive=TAP_A_TOKEN", "--sensitive=UNSET", TAP_A_TOKEN=CONTENT
    )
    assert summary.error == "tap-a: ValueError: *** is no good"
    assert CONTENT not in done.stdout


def test_a_secret_that_is_missing_is_one_line_and_nothing_is_run(secretive):
    done, summary = run(secretive, *SECRETS)
    assert done.returncode == summary.exit_code == ExitCode.CONFIG_ERROR
    assert done.stdout == f"ERROR: {summary.error}\n"
    assert summary.error.startswith(f"there is no secret {NAME!r} in eu-west-1: create it")
    assert not (secretive / "received").exists()


def test_an_aws_that_is_not_reached_is_another_code_so_that_a_retry_follows(project, aws_environ):
    aws_environ.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{free_port()}")
    done, summary = run(project, *SECRETS)
    assert done.returncode == summary.exit_code == ExitCode.UNAVAILABLE
    assert done.stdout == f"ERROR: {summary.error}\n"
    assert "AWS cannot be reached" in summary.error


def test_the_secret_of_an_image_of_another_version_is_not_read(project, answers):
    done, _ = run(project, f"--digest={'0' * 16}", *SECRETS)
    assert done.returncode == ExitCode.CONFIG_ERROR
    assert answers.asked == []
