"""Loaders as processes, without Meltano: messages in, state out."""

import contextlib
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.destinations import PATIENCE
from tests.support.singer_source import Row, Stream


class Load:
    """A running loader, and what a Meltano would remember of it."""

    def __init__(self, destination: Any, folder: Path, schema: str, **changes: Any) -> None:
        environ = {**destination.environ, **changes.pop("environ", {})}
        folder.mkdir(exist_ok=True)
        file = folder / f"{schema}-{len(list(folder.iterdir()))}.json"
        file.write_text(json.dumps({**destination.config(schema), **changes}))
        self.errors = file.with_suffix(".log")
        with self.errors.open("w") as log:
            self.process = subprocess.Popen(
                [destination.executable, "--config", file],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def send(self, messages: Iterable[Row]) -> None:
        self.send_text("".join(json.dumps(each) + "\n" for each in messages))

    def send_text(self, text: str) -> None:
        """Send text; a loader that has ended takes none."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text)
            self.process.stdin.flush()

    def state(self) -> Any:
        """Wait for the next state that the loader writes."""
        too_late = threading.Timer(PATIENCE, self.process.kill)
        too_late.start()
        line = self.process.stdout.readline()
        too_late.cancel()
        assert line, self.errors.read_text()
        return json.loads(line)["bookmark"]

    def end(self) -> tuple[int, list[Any]]:
        """Return the exit code, and the bookmarks that are written from here on."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [json.loads(line)["bookmark"] for line in out.splitlines()]

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.communicate()


def load(destination: Any, folder: Path, schema: str, messages: Iterable[Row], **changes: Any):
    """Load all messages, and return the bookmarks that were written."""
    with contextlib.closing(Load(destination, folder, schema, **changes)) as running:
        running.send(messages)
        code, states = running.end()
    assert code == 0, running.errors.read_text()
    return states


def assert_same(stream: Stream, found: list[Row], wanted: list[Row]) -> None:
    """Compare what is in the warehouse with the rows of the source."""
    there, source = stream.canonical(found), stream.canonical(wanted)
    assert summary(there) == summary(source), (sorted_rows(there), sorted_rows(source))


def summary(rows: list[Row]) -> tuple[Any, ...]:
    """Return count, distinct keys, least and greatest key, and a hash in which order is nothing."""
    keys = [row["id"] for row in rows]
    digest = hashlib.sha256("\n".join(sorted_rows(rows)).encode()).hexdigest()
    return len(rows), len({*keys}), min(keys, default=None), max(keys, default=None), digest


def sorted_rows(rows: list[Row]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
