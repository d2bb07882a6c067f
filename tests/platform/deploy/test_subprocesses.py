"""Running other commands: what is shown, and that only one command of the Makefile runs them."""

import signal
import subprocess
import sys

import psutil
import pytest
from local_platform.console import LocalError
from local_platform.subprocesses import lock, run_command

from tests.support.running import wait_until

HOLD = """
import sys
from pathlib import Path
from local_platform.subprocesses import lock, run_command
with lock(Path(sys.argv[1])):
    print("begun", flush=True)
    run_command("sh", "-c", f"while [ ! -e {sys.argv[2]} ]; do sleep 0.1; done")
"""


def test_a_command_that_fails_shows_its_last_lines(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    with pytest.raises(LocalError) as caught:
        run_command("sh", "-c", "seq 9; exit 3", log=log)
    assert str(caught.value) == (
        f"`sh -c seq 9; exit 3` failed, see {log}; its last lines are:\n5\n6\n7\n8\n9"
    )
    assert log.read_text().startswith("before\n1\n")


def test_it_tells_what_it_waits_for(capsys):
    run_command("sh", "-c", "echo a; sleep 1.5", waiting=lambda said: f"the end of {said!r}")
    assert "waiting for the end of" in capsys.readouterr().out


def test_what_a_killed_command_began_ends_before_the_next_begins(tmp_path, capsys):
    end = tmp_path / "end"
    argv = [sys.executable, "-c", HOLD, str(tmp_path), str(end)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "begun\n"
        wait_until(lambda: psutil.Process(first.pid).children(), 30, "its command")
        first.send_signal(signal.SIGKILL)
    second = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    with second:
        line = second.stdout.readline()
        assert (
            "waiting for another command in this checkout, or what an interrupted one began" in line
        )
        end.touch()
        assert "begun" in second.stdout.read()
    assert second.returncode == 0
    with lock(tmp_path):
        assert capsys.readouterr().out == ""
