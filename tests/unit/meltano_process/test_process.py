"""Meltano as a process: the real one, with a tap and a target of a few lines."""

import json
import logging
import os
import signal
import threading
from datetime import UTC, datetime

import pytest

from dag_factory.exit_codes import ExitCode
from dag_factory.meltano_process import process as processes
from dag_factory.meltano_process.process import MeltanoProcess, ask_meltano, find_command
from tests.support.running import wait_until
from tests.support.shell_project import (
    COMMAND,
    RECORD,
    STATE_ID,
    WAITING,
    give_state,
    make_project,
    write_script,
)

METRIC = """INFO METRIC: {"type": "counter", "metric": "record_count", "value": 3,
 "tags": {"stream": "s"}}""".replace("\n", "")
BOOKMARK = '{"bookmarks": {"s": {"replication_key_value": "2026-11-02T12:00:00Z"}, "t": {"id": 5}}}'


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def make_process(root, command=COMMAND, *, bookmarked=(), patience=20.0, **variables):
    environ = {**os.environ, "MELTANO_ENVIRONMENT": "dev", **variables}
    return MeltanoProcess(
        [find_command(command[0]), *command[1:]],
        root,
        environ,
        extractors=["tap-a"],
        bookmarked=bookmarked,
        patience=patience,
    )


def run(root, *args, **kwargs):
    entries = []
    return make_process(root, *args, **kwargs).run(entries.append), entries


def test_a_run_tells_its_rows_and_its_log(project):
    write_script(project / "tap", f"{RECORD}; echo '{METRIC}' >&2; echo 'été 🚀' >&2")
    summary, entries = run(project)
    assert (summary.exit_code, summary.error) == (0, None)
    assert (summary.rows, summary.counted) == ({"s": 3}, True)
    assert summary.newest == {}
    assert "tap-a: été 🚀" in [entry.text for entry in entries]
    assert '"id": 1' in (project / "received").read_text()


def test_where_nobody_counts_there_are_no_rows(project):
    assert run(project)[0].rows is None


def test_a_failed_run_tells_what_the_tap_said_last(project):
    write_script(project / "tap", "echo 'ValueError: no such account' >&2; exit 3")
    summary, entries = run(project, bookmarked=[STATE_ID])
    assert summary.exit_code == 1
    assert summary.error == "tap-a: ValueError: no such account"
    assert any(entry.level == logging.ERROR for entry in entries)


def test_the_newest_bookmarks_are_those_that_meltano_keeps(project):
    give_state(project, BOOKMARK)
    summary, _ = run(project, bookmarked=[STATE_ID])
    assert summary.exit_code == 0
    assert summary.newest == {"s": datetime(2026, 11, 2, 12, tzinfo=UTC)}
    assert run(project)[0].newest == {}


def test_bookmarks_of_several_state_ids_are_one_answer(project):
    give_state(project, BOOKMARK)
    suffixed = f"{STATE_ID}:again"
    run(project, MELTANO_RUN_STATE_ID_SUFFIX="again")
    give_state(project, BOOKMARK.replace('"s"', '"u"'))
    summary, _ = run(project, bookmarked=[STATE_ID, suffixed])
    assert sorted(summary.newest) == ["s", "u"]


def test_a_run_without_state_has_no_bookmarks_and_is_no_failure(project):
    summary, _ = run(project, bookmarked=[STATE_ID])
    assert (summary.exit_code, summary.newest) == (0, {})


def test_a_state_that_cannot_be_read_is_said_with_the_reason(project):
    moved = "mv meltano.yml gone.yml; cat > /dev/null"
    write_script(project / "target", moved)
    summary, _ = run(project, bookmarked=[STATE_ID])
    assert summary.exit_code != 0
    assert summary.error.startswith("the run succeeded, but `meltano state get dev:tap-a-to-")
    assert "must be run inside a Meltano project" in summary.error


@pytest.fixture
def mute(tmp_path):
    """A Meltano that runs well, and whose state is never told."""
    write_script(tmp_path / "mute", '[ "$1" != state ] || { touch asked; sleep 600; }')
    return str(tmp_path / "mute")


def test_a_state_that_is_not_told_in_time_is_said(tmp_path, mute, monkeypatch):
    monkeypatch.setattr(processes, "_STATE_GET_SECONDS", 0.5)
    summary, _ = run(tmp_path, (mute, "run"), bookmarked=[STATE_ID])
    assert summary.exit_code == ExitCode.UNAVAILABLE
    asked = f"`meltano state get {STATE_ID}`"
    assert summary.error == f"the run succeeded, but {asked} did not answer within 0.5 seconds"


def test_a_stop_ends_the_question_for_the_state_too(tmp_path, mute):
    process = make_process(tmp_path, (mute, "run"), bookmarked=[STATE_ID])

    def stop_when_it_asks():
        wait_until((tmp_path / "asked").exists, 60, "the question")
        process.stop()

    thread = threading.Thread(target=stop_when_it_asks)
    thread.start()
    assert process.run(lambda _: None).exit_code == -signal.SIGTERM
    thread.join()


@pytest.mark.parametrize(
    "command", [COMMAND, ("meltano", "elt", "--no-install", "tap-a", "target-x", "--state-id=s")]
)
def test_a_state_id_that_a_live_run_holds_is_told_apart_from_a_failure(project, command):
    write_script(project / "tap", WAITING)
    first = make_process(project, command)
    found = []
    thread = threading.Thread(target=lambda: found.append(first.run(lambda _: None)))
    thread.start()
    try:
        wait_until((project / "tap.pid").exists, 60, "the first run")
        second, _ = run(project, command)
    finally:
        (project / "go").touch()
        thread.join()
    assert second.exit_code == ExitCode.LOCKED
    assert "pipeline is already running which started at" in second.error
    assert found[0].exit_code == 0


def test_a_tap_that_only_says_so_holds_nothing(project):
    said = "Another 'x' pipeline is already running"
    write_script(project / "tap", f'echo "RuntimeError: {said}" >&2; exit 3')
    summary, _ = run(project)
    assert summary.exit_code == 1
    assert summary.error == f"tap-a: RuntimeError: {said}"


def run_until_stopped(project):
    """Stop a run as soon as its tap runs."""
    write_script(project / "tap", WAITING)
    process = make_process(project)

    def stop_when_it_runs():
        wait_until((project / "tap.pid").exists, 60, "the tap")
        process.stop()

    thread = threading.Thread(target=stop_when_it_runs)
    thread.start()
    summary = process.run(lambda _: None)
    thread.join()
    return summary


def test_a_stop_ends_meltano_and_its_plugins_and_frees_the_lock(project):
    assert run_until_stopped(project).exit_code == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((project / "tap.pid").read_text()), signal.SIGCONT)
    write_script(project / "tap", RECORD)
    assert run(project)[0].exit_code == 0


def test_what_the_loader_has_got_when_a_run_is_stopped_is_in_the_bookmarks(project):
    give_state(project, BOOKMARK)
    assert run_until_stopped(project).exit_code == 128 + signal.SIGTERM
    asked = ask_meltano((find_command("meltano"), "state", "get", STATE_ID), project, os.environ)
    assert json.loads(asked.stdout)["singer_state"] == json.loads(BOOKMARK)


def test_a_loader_that_has_got_everything_is_given_time_to_load_it(project):
    give_state(project, BOOKMARK)
    target = "cat > /dev/null; touch loading; while [ ! -e go ]; do sleep 0.1; done; cat state.json"
    write_script(project / "target", target)
    process = make_process(project)

    def stop_when_it_loads():
        wait_until((project / "loading").exists, 60, "the loader")
        process.stop()
        (project / "go").touch()

    thread = threading.Thread(target=stop_when_it_loads)
    thread.start()
    assert process.run(lambda _: None).exit_code == 0
    thread.join()
    asked = ask_meltano((find_command("meltano"), "state", "get", STATE_ID), project, os.environ)
    assert json.loads(asked.stdout)["singer_state"] == json.loads(BOOKMARK)


def test_plugins_find_meltano_whatever_the_path_is(project):
    write_script(project / "tap", "command -v meltano > found; " + RECORD)
    summary, _ = run(project, PATH=os.defpath)
    assert summary.exit_code == 0
    assert (project / "found").read_text().strip() == find_command("meltano")


def test_who_does_not_heed_a_stop_is_killed_when_patience_ends(project):
    script = "trap '' TERM; touch ready; while :; do sleep 1; done"
    process = make_process(project, ("sh", "-c", script), patience=0.5)

    def stop_when_it_runs():
        wait_until((project / "ready").exists, 60, "the process")
        process.stop()

    thread = threading.Thread(target=stop_when_it_runs)
    thread.start()
    assert process.run(lambda _: None).exit_code == -signal.SIGKILL
    thread.join()


def test_a_stop_that_comes_first_is_not_lost(project):
    process = make_process(project, ("sleep", "600"))
    process.stop()
    assert process.run(lambda _: None).exit_code == -signal.SIGTERM


def test_no_signal_follows_a_run_that_is_over(project):
    process = make_process(project, ("sleep", "600"), patience=600)
    process.stop()
    process.run(lambda _: None)
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    for timer in timers:
        timer.join(60)
        assert not timer.is_alive()


def test_whoever_cannot_take_the_log_leaves_no_process_behind(project):
    def refuse(entry):
        if (project / "tap.pid").exists():
            raise RuntimeError("full")

    write_script(project / "tap", WAITING.replace("while", "echo started >&2; while"))
    with pytest.raises(RuntimeError, match="full"):
        make_process(project).run(refuse)
    with pytest.raises(ProcessLookupError):
        os.kill(int((project / "tap.pid").read_text()), signal.SIGCONT)


def test_a_question_keeps_the_answer_apart_from_the_log(project):
    command = [find_command("meltano"), "state", "get", "--", STATE_ID]
    done = ask_meltano(command, project, os.environ)
    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert '"level": "info"' in done.stderr
