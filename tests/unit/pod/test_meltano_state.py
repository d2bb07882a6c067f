"""The program that looks after state, by itself and as a pod starts it, with a real Meltano."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dag_factory.exit_codes import ExitCode
from dag_factory.meltano_process.result import RunSummary
from dag_factory.pod.meltano_state import RefusedError, command, fields_error, main
from dag_factory.runners.outcome import finish_run
from dag_factory.runners.prepare import PreparedRun

PROJECT = """
project_id: test
send_anonymous_usage_stats: false
environments: [{name: dev}]
"""
STATE = {"singer_state": {"bookmarks": {"été": {"at": "it's 1"}}}}
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with state under names that look like options."""
    root = tmp_path_factory.mktemp("project")
    (root / "meltano.yml").write_text(PROJECT)
    states = {each: {"completed": STATE, "partial": {}} for each in ("--", "--all")}
    (root / "states.json").write_text(json.dumps(states))
    argv = [BIN / "meltano", "state", "import", "states.json"]
    subprocess.run(argv, cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture
def call(project, monkeypatch, capsys):
    """Call the program, and return its exit code and what it says."""
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(project))
    monkeypatch.delenv("MELTANO_CLI_LOG_FORMAT", raising=False)

    def run(*argv):
        code = main(argv)
        return code, capsys.readouterr().out

    return run


def start_as_a_pod(root, folder, *argv):
    """Start what a container would, and return its exit code, its log and its summary."""
    report = folder / "termination-log"
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    own = {"PATH": path, "MELTANO_PROJECT_ROOT": str(root), "MELTANO_ENVIRONMENT": "dev"}
    done = subprocess.run(
        [BIN / "meltano-task", f"--termination-log={report}", "--", *argv],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, RunSummary.from_json(report.read_text())


def test_a_pod_prints_what_it_found(project, tmp_path):
    argv = command({"action": "show", "state_id": "--all"})
    code, log, summary = start_as_a_pod(project, tmp_path, *argv)
    shown = json.dumps(STATE, indent=2, ensure_ascii=False)
    assert (code, log) == (0, f"The state of --all:\n{shown}\n")
    assert summary.exit_code == 0


def test_what_a_pod_refuses_is_the_message_of_the_task_which_is_not_tried_again(project, tmp_path):
    argv = command({"action": "copy", "state_id": "--all", "target": "--"})
    code, log, summary = start_as_a_pod(project, tmp_path, *argv)
    reason = "Nothing was copied: '--' has state; write it into confirm too to overwrite it"
    assert (code, log) == (ExitCode.CONFIG_ERROR, f"ERROR: {reason}\n")
    with pytest.raises(AirflowFailException) as failed:
        finish_run(PreparedRun(argv, {}), summary, (), {})
    assert str(failed.value) == reason


def test_a_person_reads_plain_lines(call):
    code, said = call("list")
    assert (code, said) == (0, 'State IDs that have state:\n[\n  "--",\n  "--all"\n]\n')


def test_a_state_id_of_two_dashes_is_one(call):
    code, said = call("clear", "--", "--", "none")
    assert (code, said.split(":")[0]) == (ExitCode.CONFIG_ERROR, "Nothing was cleared")
    code, said = call("copy", "--", "--", "new", "--")
    assert (code, said) == (0, "new has the state of --\n")
    code, said = call("clear", "--", "new", "new")
    assert (code, said.splitlines()[-1]) == (0, "new no longer has state")


def test_of_a_meltano_that_fails_the_log_and_the_exit_code_are_passed_on(call, monkeypatch):
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", "nosuch://x")
    code, said = call("list")
    assert code == 1
    assert "No state backend found for scheme 'nosuch'" in said


def test_without_meltano_there_is_one_clear_line(call, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    monkeypatch.setenv("PATH", "/no/such/folder")
    code, said = call("list")
    assert (code, len(said.splitlines())) == (ExitCode.CONFIG_ERROR, 1)
    assert "`meltano` is not installed: it is neither next to /no/such/python" in said


@pytest.mark.parametrize("state_id", ["../x", "/x", "a/..", "./x", "a\nb"])
def test_a_state_id_is_never_a_path_to_another_folder(call, tmp_path, monkeypatch, state_id):
    """Meltano removes any folder that a state ID leads to, where state lies in files."""
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", f"file://{tmp_path}/states")
    for folder in ("states", "x"):
        (tmp_path / folder).mkdir()
    (tmp_path / "x" / "state.json").write_text('{"completed": {"singer_state": {}}}')
    for argv in (
        ("show", "--", state_id),
        ("copy", "--", "a", state_id, state_id),
        ("clear", "--", state_id, state_id),
        ("release_lock", "--", state_id),
    ):
        code, said = call(*argv)
        assert (code, said) == (
            ExitCode.CONFIG_ERROR,
            f"{state_id!r} is not a state ID; `list` shows the state IDs that have state\n",
        )
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize("argv", [(), ("drop",), ("list", "a"), ("show", "a", "b"), ("show", "-a")])
def test_a_wrong_call_is_told(call, argv, capsys):
    with pytest.raises(SystemExit) as ended:
        call(*argv)
    assert ended.value.code == 2
    assert "meltano-state" in capsys.readouterr().err


def test_a_command_holds_what_its_action_needs_and_no_more():
    fields = {"state_id": "a", "target": "b", "confirm": "a"}
    assert command(fields | {"action": "list"}) == ("meltano-state", "list", "--")
    assert command(fields | {"action": "show"}) == ("meltano-state", "show", "--", "a")
    assert command(fields | {"action": "clear"})[2:] == ("--", "a", "a")
    assert command(fields | {"action": "copy"})[2:] == ("--", "a", "b", "a")
    assert command(fields | {"action": "copy", "confirm": None})[2:] == ("--", "a", "b")
    with pytest.raises(RefusedError, match="copy needs another state ID to copy to"):
        command(fields | {"action": "copy", "target": None})


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"action": "list"}, None),
        ({"action": "show"}, "show needs a state ID: fill in state_id; "),
        ({"action": "clear"}, "clear needs a state ID"),
        ({"action": "release_lock"}, "release_lock needs a state ID"),
        ({"action": "show", "state_id": "a"}, None),
        ({"action": "clear", "state_id": "a"}, "Nothing was cleared: write 'a' into confirm too"),
        ({"action": "clear", "state_id": "a", "confirm": "A"}, "Nothing was cleared"),
        ({"action": "clear", "state_id": "a", "confirm": "a"}, None),
        ({"action": "copy", "state_id": "a"}, "copy needs another state ID to copy to"),
        ({"action": "copy", "state_id": "a", "target": "a"}, "copy needs another state ID"),
        ({"action": "copy", "state_id": "a", "target": "b"}, None),
    ],
)
def test_the_fields_of_the_form_must_go_together(fields, wrong):
    found = fields_error({"state_id": None, "target": None, "confirm": None} | fields)
    assert found is wrong or found.startswith(wrong)
