"""What `make up` shows while it waits, and how long each step took."""

import os
import pty
import subprocess
import sys
from itertools import count
from types import SimpleNamespace

import pytest
from local_platform import console
from local_platform.console import Stopwatch, TookTooLongError, wait_for

WAIT = """
from local_platform.console import wait_for
left = iter(("3 DAGs", "1 of 3 DAGs: rivers", None))
wait_for(lambda: next(left), limit=60)
"""


def test_a_log_gets_a_line_at_once_and_then_every_ten_seconds(capsys, monkeypatch):
    clock = count(step=6)
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    left = iter(["19 DAGs", "18 of 19 DAGs: a, b, c ...", "1 of 19 DAGs: rivers", None])
    wait_for(lambda: next(left), limit=60)
    assert capsys.readouterr().out.splitlines() == [
        "    waiting for 19 DAGs (6 s)",
        "    waiting for 1 of 19 DAGs: rivers (18 s)",
    ]


def test_a_terminal_gets_one_line_that_changes():
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", WAIT], env=environ, stdout=theirs) as process:
        os.close(theirs)
        shown = "".join(iter(lambda: read(ours), ""))
    os.close(ours)
    assert process.returncode == 0
    assert "waiting for 3 DAGs" in shown
    assert "waiting for 1 of 3 DAGs: rivers" in shown
    assert "\n" not in shown.partition("3 DAGs")[2].rpartition("rivers")[0]


def read(terminal: int) -> str:
    try:
        return os.read(terminal, 1024).decode(errors="replace")
    except OSError:  # its other end is closed
        return ""


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "NO_COLOR"])
def test_a_pipe_gets_plain_lines_whatever_is_forced(variable):
    environ = os.environ | {"TERM": "xterm", variable: "1"}
    argv = [sys.executable, "-c", WAIT]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "    waiting for 3 DAGs (0 s)\n"


def test_what_does_not_come_in_time_is_named():
    with pytest.raises(TookTooLongError, match=r"^gave up waiting for the moon after 0 s$"):
        wait_for(lambda: "the moon", limit=0)


def test_the_durations_of_steps_are_told_without_the_short_ones(monkeypatch):
    clock = iter([0.0, 0.0, 21.4, 22.0, 22.3, 30.0, 47.0, 48.0])
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    watch = Stopwatch()
    for name in ("plugins", "database", "Airflow"):
        with watch.step(name):
            pass
    assert str(watch) == "Took 48 s: plugins 21 s, Airflow 17 s."
