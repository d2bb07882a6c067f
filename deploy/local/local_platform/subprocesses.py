"""Running the commands of others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local_platform.console import LocalError


def run_command(command: str | Path, *argv: str, **environ: str) -> None:
    """Run a command.

    Raises:
        LocalError: The command was not found, or failed.
    """
    try:
        done = subprocess.run(
            [str(command), *argv],
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise LocalError(f"the command {command} was not found; install it") from None
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-5:])
        line = " ".join([Path(command).name, *argv])
        raise LocalError(f"`{line}` failed; its last lines are:\n{tail}")
