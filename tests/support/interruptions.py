"""Interrupting a command at a step of its own."""

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
    """Run a command, interrupt it when it prints something, and return what it printed."""
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
            if point in line:
                process.send_signal(how)
    assert point in printed, printed
    assert "Traceback" not in printed, printed
    return printed
