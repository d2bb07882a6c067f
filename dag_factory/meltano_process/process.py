"""Runs Meltano as a child process: without a shell, read line by line, stopped with its plugins."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from dag_factory.exit_codes import ExitCode, from_returncode
from dag_factory.meltano_process.log import LastError, LogEntry, RowCounts, read_log_line
from dag_factory.meltano_process.result import RunSummary, newest_bookmarks

_MACHINE_READABLE_LOG = {"MELTANO_CLI_LOG_FORMAT": "json", "NO_COLOR": "1"}
_LOCKED_MESSAGE = re.compile(r"Another '.*' pipeline is already running")
_STATE_GET_SECONDS = 60
# Meltano gives an extractor or a loader a configuration file of this name.
_PLUGIN_CONFIG = re.compile(rb"/(tap|target)\.[0-9a-f-]+\.config\.json\0")


class MeltanoProcess:
    """One run of Meltano.

    Args:
        argv: The command.
        root: The folder that holds `meltano.yml`.
        environ: All variables of the process, except that its log is always JSON.
        extractors: The names of the extractors whose rows are counted.
        bookmarked: The state IDs whose newest bookmarks are read after a success.
        patience: How many seconds the process may take to stop before it is killed.
    """

    def __init__(
        self,
        argv: Sequence[str],
        root: Path,
        environ: Mapping[str, str],
        *,
        extractors: Collection[str],
        bookmarked: Collection[str],
        patience: float,
    ) -> None:
        self._argv = argv
        self._root = root
        # Utilities find Meltano by this PATH, and Meltano finds what is installed next to it.
        path = os.pathsep.join([environ.get("PATH") or os.defpath, str(Path(argv[0]).parent)])
        self._environ = {**environ, **_MACHINE_READABLE_LOG, "PATH": path}
        self._extractors = extractors
        self._bookmarked = bookmarked
        self._patience = patience
        self._process: subprocess.Popen[str] | None = None
        self._timers: list[threading.Timer] = []
        self._stopped = False
        self._cut_short = False

    def run(self, note: Callable[[LogEntry], None]) -> RunSummary:
        """Run the command until it ends.

        Args:
            note: Called with each line of the log.

        Raises:
            OSError: The command cannot be started.
        """
        last_error, counts = LastError(), RowCounts(self._extractors)
        is_locked = False
        with self._started(self._argv, subprocess.STDOUT) as process:
            for line in process.stdout or ():
                entry = read_log_line(line)
                last_error.note(entry)
                counts.note(entry)
                is_locked = is_locked or _is_locked(entry)
                note(entry)
            process.wait()
        code = ExitCode.LOCKED if is_locked and process.returncode else process.returncode
        if self._cut_short and code >= 0:
            code = from_returncode(-signal.SIGTERM)
        summary = RunSummary(code, last_error.text, counts.rows, counts.possible)
        return summary if code else self._with_bookmarks(summary)

    def _with_bookmarks(self, summary: RunSummary) -> RunSummary:
        newest: dict[str, datetime] = {}
        for state_id in self._bookmarked:
            command = (self._argv[0], "state", "get", "--", state_id)
            subject = f"the run succeeded, but `meltano state get {state_id}`"
            with self._started(command, subprocess.PIPE) as process:
                try:
                    answer, log = process.communicate(timeout=_STATE_GET_SECONDS)
                except subprocess.TimeoutExpired:
                    error = f"{subject} did not answer within {_STATE_GET_SECONDS} seconds"
                    return replace(summary, exit_code=ExitCode.UNAVAILABLE, error=error)
            if process.returncode:
                last_error = LastError()
                for line in log.splitlines():
                    last_error.note(read_log_line(line))
                error = f"{subject} failed: {last_error.text or 'it logged no error'}"
                return replace(summary, exit_code=process.returncode, error=error)
            for line in answer.splitlines():
                with suppress(ValueError):
                    newest |= newest_bookmarks(json.loads(line))
        return replace(summary, newest=newest)

    @contextmanager
    def _started(self, argv: Sequence[str], stderr: int) -> Iterator[subprocess.Popen[str]]:
        """Start a command that `stop` can end; always leave no process behind."""
        with subprocess.Popen(  # noqa: S603 - an argv list; no shell
            argv,
            cwd=self._root,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        ) as process:
            self._process = process
            if self._stopped:
                self.stop()
            try:
                yield process
            finally:
                self._end(process)

    def stop(self) -> None:
        """Stop Meltano, and kill it when its patience ends; `run` reads its log until then.

        Extractors are stopped first. Then loaders can load the rows that they have received, and
        Meltano can save the bookmarks. Half of the patience is for that, even if only a loader is
        left.
        """
        self._stopped = True
        if self._process is not None:
            plugins = _plugins(self._process.pid)
            for number in (number for number, kind in plugins.items() if kind == b"tap"):
                self._cut_short = True
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGTERM)
            self._signal_later(signal.SIGTERM, self._patience / 2 if plugins else 0)
            self._signal_later(signal.SIGKILL, self._patience)

    def _signal_later(self, number: signal.Signals, seconds: float) -> None:
        timer = threading.Timer(seconds, _signal_group, [self._process, number])
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _end(self, process: subprocess.Popen[str]) -> None:
        """End a process and its children, and all timers: its number may be used again."""
        if process.poll() is None:
            _signal_group(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=self._patience)
        _signal_group(process, signal.SIGKILL)
        for timer in self._timers:
            timer.cancel()


def find_command(name: str) -> str | None:
    """Find a command: next to this Python, whose folder may be missing from PATH, or on PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return shutil.which(name, path=path)


def find_project_root() -> Path:
    """Return the folder of the Meltano project: `MELTANO_PROJECT_ROOT`, or the current folder."""
    return Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path.cwd())


def ask_meltano(
    argv: Sequence[str], root: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a short command of Meltano; its log on stderr is JSON.

    Args:
        argv: The command.
        root: The folder that holds `meltano.yml`.
        environ: All variables of the process.

    Raises:
        OSError: The command cannot be started.
    """
    return subprocess.run(  # noqa: S603 - an argv list; no shell
        argv,
        cwd=root,
        env={**environ, **_MACHINE_READABLE_LOG},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )


def _is_locked(entry: LogEntry) -> bool:
    return entry.source is None and _LOCKED_MESSAGE.search(entry.message) is not None


def _plugins(session: int) -> dict[int, bytes]:
    """Return which processes of a session are taps and targets: none on systems without `/proc`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            match = _PLUGIN_CONFIG.search(command)
            if match and os.getsid(int(folder.name)) == session:
                found[int(folder.name)] = match[1]
    return found


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal Meltano and its plugins: Meltano 4.4 alone would wait forever for its plugins."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
