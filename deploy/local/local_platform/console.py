"""What the commands print, and how they wait and fail."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx
from rich.console import Console
from rich.text import Text
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from dag_factory.errors import SettingsError

_REPORT_SECONDS = 10


class LocalError(Exception):
    """A command cannot continue on this machine; the message says what to do."""


class TookTooLongError(LocalError):
    """Something did not happen in time; the logs may say why."""


def say(text: str = "") -> None:
    """Print a line immediately, also into a pipe."""
    print(text, flush=True)


class Stopwatch:
    """Measures how long a command takes, and each of its steps."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step."""
        started = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - started

    def __str__(self) -> str:
        """Return the duration of everything, then of each step that took a second or more."""
        steps = [f"{name} {sec:.0f} s" for name, sec in self._seconds.items() if sec >= 1]
        total = f"Took {time.monotonic() - self._started:.0f} s"
        return f"{total}: {', '.join(steps)}." if steps else f"{total}."


def wait_for(missing: Callable[[], str | None], limit: float) -> None:
    """Wait until `missing` returns nothing; meanwhile print what it returns.

    A terminal shows it in one line that changes. Anything else gets a line every ten seconds.

    Raises:
        TookTooLongError: It took longer than `limit` seconds.
    """
    started = time.monotonic()
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") not in (None, "dumb")
    console = Console(force_terminal=is_terminal)
    status = console.status("", spinner="dots")
    name, next_report = "", 0.0

    def look() -> str | None:
        nonlocal name, next_report
        found = missing()
        if not found:
            return None
        name = found
        seconds = time.monotonic() - started
        line = f"waiting for {name} ({seconds:.0f} s)"
        if is_terminal:
            status.update(Text(line, no_wrap=True, overflow="ellipsis"))
        elif seconds >= next_report:
            say(f"    {line}")
            next_report = seconds + _REPORT_SECONDS
        return found

    wait = Retrying(retry=retry_if_result(bool), stop=stop_after_delay(limit), wait=wait_fixed(1))
    with status:
        try:
            wait(look)
        except RetryError:
            raise TookTooLongError(f"gave up waiting for {name} after {limit:.0f} s") from None


def report(command: str, logs: Path, run: Callable[[], None]) -> int:
    """Run a command of the Makefile; print an error as one line and return exit code 1."""
    try:
        run()
    except TookTooLongError as error:
        say(f"make {command}: {error}; see {logs}")
        return 1
    except (LocalError, SettingsError, OSError, httpx.HTTPError, duckdb.Error) as error:
        say(f"make {command}: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"make {command}: interrupted; run it again to continue")
        return 130
    return 0
