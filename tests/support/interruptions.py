"""Interrupting a command at a step of its own."""

import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def interrupt(
    argv: Sequence[str],
    point: str,
    how: signal.Signals,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Run a command, interrupt it when it prints a pattern, and return what it printed."""
    printed = ""
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        for line in process.stdout:
            printed += line
            if re.search(point, line):
                process.send_signal(how)
    assert re.search(point, printed), printed
    assert "Traceback" not in printed, printed
    return printed
