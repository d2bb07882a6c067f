"""The exit codes of a task that are not Meltano's own."""

from __future__ import annotations

import signal
from enum import IntEnum

_SIGNAL_BASE = 128


class ExitCode(IntEnum):
    """Why a task did not run, or did not end as Meltano did; the numbers are those of sysexits.h.

    A code that is not here is Meltano's own.
    """

    UNAVAILABLE = 69
    """A service did not answer: AWS, before the run; or Meltano, when asked for the bookmarks of a
    run that succeeded. A retry may succeed."""

    OS_ERROR = 71
    """The operating system could not start the command."""

    LOCKED = 75
    """Another run holds the state ID. The task waits and starts again."""

    CONFIG_ERROR = 78
    """The command, the image or a secret is wrong. Nothing was run, and no retry would succeed."""


def from_returncode(returncode: int) -> int:
    """Return the exit code that containers and shells report for a return code of `subprocess`.

    A process that signal N killed has the return code -N and the exit code 128 + N.
    """
    return returncode if returncode >= 0 else _SIGNAL_BASE - returncode


def to_returncode(exit_code: int) -> int:
    """Return the return code of `subprocess` that containers and shells report as an exit code."""
    number = exit_code - _SIGNAL_BASE
    return -number if number in {*signal.Signals} else exit_code


def signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGKILL`; `signal 40` for one that has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
