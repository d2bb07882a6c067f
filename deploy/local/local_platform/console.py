"""What the commands print, and how they wait and fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import httpx
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


def wait_for(missing: Callable[[], str | None], limit: float) -> None:
    """Wait until `missing` returns nothing; meanwhile print what it returns.

    Raises:
        TookTooLongError: It took longer than `limit` seconds.
    """
    started = time.monotonic()
    last_name, last_seconds = "", 0.0

    def look() -> str | None:
        nonlocal last_name, last_seconds
        name = missing()
        seconds = time.monotonic() - started
        if name and (name != last_name or seconds - last_seconds >= _REPORT_SECONDS):
            say(f"    waiting for {name} ({seconds:.0f} s)")
            last_name, last_seconds = name, seconds
        return name

    wait = Retrying(retry=retry_if_result(bool), stop=stop_after_delay(limit), wait=wait_fixed(1))
    try:
        wait(look)
    except RetryError:
        raise TookTooLongError(f"gave up waiting for {last_name} after {limit:.0f} s") from None


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
