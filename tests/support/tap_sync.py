"""Running a Singer tap within the test, and a loader that keeps what it writes."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

from singer_sdk import Tap


class UpsertingLoader:
    """Loads by primary key, and hands the state on to the next sync."""

    def __init__(self, tap: type[Tap], config: dict[str, Any]) -> None:
        self.tap = tap
        self.config = config
        self.state: dict[str, Any] = {}
        self.tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self.loaded: list[dict[str, Any]] = []

    def sync(self) -> list[dict[str, Any]]:
        """Sync what is new, and return the rows that came."""
        self.loaded = []
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        try:
            with redirect_stdout(out):
                self.tap(config=self.config, state=self.state).sync_all()
        finally:
            # What came before an error is loaded too.
            out.seek(0)
            self._load(out)
        return self.loaded

    def _load(self, lines: io.TextIOWrapper) -> None:
        keys: dict[str, list[str]] = {}
        for message in map(json.loads, lines):
            if message["type"] == "SCHEMA":
                keys[message["stream"]] = message["key_properties"]
            elif message["type"] == "STATE":
                self.state = message["value"]
            else:
                row = message["record"]
                key = tuple(row[column] for column in keys[message["stream"]])
                self.tables.setdefault(message["stream"], {})[key] = row
                self.loaded.append(row)
