"""Meltano as a process: started without a shell, read line by line, stopped with its plugins."""

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

_MACHINE_READABLE = {"MELTANO_CLI_LOG_FORMAT": "json", "NO_COLOR": "1"}
_HELD = re.compile(r"Another '.*' pipeline is already running")
_ANSWER_SECONDS = 60
# How Meltano calls the file that it hands to an extractor or a loader.
_OF_A_PLUGIN = re.compile(rb"/(tap|target)\.[0-9a-f-]+\.config\.json\0")


class MeltanoProcess:
    """One run of Meltano.

    Args:
        argv: The command.
        root: The folder that holds `meltano.yml`.
        environ: All variables that the process gets; its log is made JSON.
        extractors: The names of those that it runs, whose rows are counted.
        bookmarked: The state IDs whose newest bookmarks are wanted when it has succeeded.
        patience: How many seconds it has to end by itself when it is told to stop.
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
        # A utility finds Meltano there, and Meltano what is installed beside it.
        path = os.pathsep.join([environ.get("PATH") or os.defpath, str(Path(argv[0]).parent)])
        self._environ = {**environ, **_MACHINE_READABLE, "PATH": path}
        self._extractors = extractors
        self._bookmarked = bookmarked
        self._patience = patience
        self._process: subprocess.Popen[str] | None = None
        self._timers: list[threading.Timer] = []
        self._stopped = False
        self._cut_short = False

    def run(self, note: Callable[[LogEntry], None]) -> RunSummary:
        """Run it to its end.

        Args:
            note: Called with each line of its log.

        Raises:
            OSError: It cannot be started.
        """
        last_error, counts = LastError(), RowCounts(self._extractors)
        is_held = False
        with self._started(self._argv, subprocess.STDOUT) as process:
            for line in process.stdout or ():
                entry = read_log_line(line)
                last_error.note(entry)
                counts.note(entry)
                is_held = is_held or _is_held(entry)
                note(entry)
            process.wait()
        code = ExitCode.LOCKED if is_held and process.returncode else process.returncode
        if self._cut_short and code >= 0:
            code = from_returncode(-signal.SIGTERM)
        summary = RunSummary(code, last_error.text, counts.rows, counts.heard)
        return summary if code else self._with_bookmarks(summary)

    def _with_bookmarks(self, summary: RunSummary) -> RunSummary:
        newest: dict[str, datetime] = {}
        for state_id in self._bookmarked:
            command = (self._argv[0], "state", "get", "--", state_id)
            what = f"the run succeeded, but `meltano state get {state_id}`"
            with self._started(command, subprocess.PIPE) as process:
                try:
                    answer, log = process.communicate(timeout=_ANSWER_SECONDS)
                except subprocess.TimeoutExpired:
                    error = f"{what} gave no answer in {_ANSWER_SECONDS} seconds"
                    return replace(summary, exit_code=ExitCode.UNAVAILABLE, error=error)
            if process.returncode:
                last_error = LastError()
                for line in log.splitlines():
                    last_error.note(read_log_line(line))
                error = f"{what} failed: {last_error.text or 'it wrote no error'}"
                return replace(summary, exit_code=process.returncode, error=error)
            for line in answer.splitlines():
                with suppress(ValueError):
                    newest |= newest_bookmarks(json.loads(line))
        return replace(summary, newest=newest)

    @contextmanager
    def _started(self, argv: Sequence[str], stderr: int) -> Iterator[subprocess.Popen[str]]:
        """Start a command that `stop` ends; leave no process behind, however its use ended."""
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
        """Stop Meltano, and soon force it; `run` goes on reading its log until then.

        Extractors are asked first, so that loaders can load what they have got, and Meltano keep
        the bookmarks of it. Half of the patience is for that, also where only a loader is left.
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
        """End a process, and those that it started; another may get its number thereafter."""
        if process.poll() is None:
            _signal_group(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=self._patience)
        _signal_group(process, signal.SIGKILL)
        for timer in self._timers:
            timer.cancel()


def find_command(name: str) -> str | None:
    """Find a command, beside this Python first: the PATH need not hold its environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return shutil.which(name, path=path)


def ask_meltano(
    argv: Sequence[str], root: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command of Meltano that answers at once; its log, on stderr, is made JSON.

    Args:
        argv: The command.
        root: The folder that holds `meltano.yml`.
        environ: All variables that the process gets.

    Raises:
        OSError: It cannot be started.
    """
    return subprocess.run(  # noqa: S603 - an argv list; no shell
        argv,
        cwd=root,
        env={**environ, **_MACHINE_READABLE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )


def _is_held(entry: LogEntry) -> bool:
    return entry.source is None and _HELD.search(entry.message) is not None


def _plugins(session: int) -> dict[int, bytes]:
    """Return which processes of a session are taps and targets; none where there is no `/proc`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            match = _OF_A_PLUGIN.search(command)
            if match and os.getsid(int(folder.name)) == session:
                found[int(folder.name)] = match[1]
    return found


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal Meltano and its plugins: Meltano 4.4 alone waits for ever for a plugin to end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
