"""Running the commands of others, and a lock that they hold too."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from local_platform.console import LocalError, TookTooLongError, wait_for

_HOUR = 3600
_held_locks: list[int] = []


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, after waiting for whoever holds it.

    The commands that `run_command` runs hold it too. So when this process is killed, the next one
    waits for the end of what it began.

    Raises:
        TookTooLongError: Another process holds it for an hour.
    """
    file = _locked(folder)
    _held_locks.append(file)
    try:
        yield
    finally:
        _held_locks.remove(file)
        os.close(file)


def _locked(folder: Path) -> int:
    """Return the open lock file of a folder, which whoever held it before may have removed."""
    path = folder / "lock"
    while True:
        folder.mkdir(exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

        def held_by_another(file: int = file) -> str | None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return "another command in this checkout, or what an interrupted one began"
            return None

        wait_for(held_by_another, limit=_HOUR)
        if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
            return file
        os.close(file)


def run_command(
    command: str | Path,
    *argv: str,
    waiting: Callable[[str], str] | None = None,
    log: Path | None = None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    ends_on_interrupt: bool = True,
) -> None:
    """Run a command.

    Args:
        command: The program.
        argv: Its arguments.
        waiting: Returns what is being waited for, given what the command has printed so far.
            Without it, nothing is shown while the command runs.
        log: The file to append to what it prints. Without it, the last lines are shown on failure.
        cwd: The folder to run it in; by default the current one.
        environ: Its environment variables; by default those of this process.
        ends_on_interrupt: Whether Ctrl-C reaches it too. If not, it runs to its end.

    Raises:
        LocalError: The command was not found, or failed.
        TookTooLongError: It ran for more than an hour; it is stopped.
    """
    with TemporaryDirectory() as folder:
        file = log or Path(folder, "log")
        with file.open("ab") as output:
            begin = output.tell()
            try:
                process = subprocess.Popen(
                    [str(command), *argv],
                    cwd=cwd,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=_held_locks,
                    start_new_session=not ends_on_interrupt,
                )
            except FileNotFoundError:
                raise LocalError(f"the command {command} was not found; install it") from None

        def printed() -> str:
            return file.read_bytes()[begin:].decode(errors="replace")

        if waiting:
            try:
                wait_for(
                    lambda: None if process.poll() is not None else waiting(printed()), limit=_HOUR
                )
            except TookTooLongError:
                process.terminate()
                raise
        if process.wait():
            tail = "\n".join(printed().splitlines()[-5:])
            line = " ".join([Path(command).name, *argv])
            place = f", see {log}" if log else ""
            raise LocalError(f"`{line}` failed{place}; its last lines are:\n{tail}")
