"""What a loader does with the rows of tap-imap."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from contextlib import redirect_stdout

from tap_imap.tap import TapImap

STREAMS = ("mailboxes", "messages", "flags", "attachments", "attachment_rows")


class MailWarehouse:
    """Loads what the tap writes by upsert, and keeps the last state that it wrote."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.state: dict = {}
        self.tables: dict[str, dict[tuple, dict]] = {stream: {} for stream in STREAMS}
        self.loaded: dict[str, list[dict]] = {}
        self.batches: dict[str, list[str]] = {stream: [] for stream in STREAMS}

    def sync(
        self, *only: str, without: Iterable[tuple[str, str]] = (), whole: str = ""
    ) -> MailWarehouse:
        """Read some streams, or all, without some columns, and one whole."""
        tap = TapImap(config=self.config, state=self.state)
        for stream in STREAMS:
            tap.catalog[stream].metadata.root.selected = stream in (only or STREAMS)
        for stream, column in without:
            tap.catalog[stream].metadata["properties", column].selected = False
        if whole:
            tap.streams[whole].forced_replication_method = "FULL_TABLE"
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        try:
            with redirect_stdout(out):
                tap.sync_all()
        finally:
            out.seek(0)
            self._load(map(json.loads, out))
        return self

    def _load(self, messages: Iterable[dict]) -> None:
        self.loaded = {stream: [] for stream in STREAMS}
        keys: dict[str, list[str]] = {}
        for message in messages:
            if message["type"] == "SCHEMA":
                keys[message["stream"]] = message["key_properties"]
            elif message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "BATCH":
                self.batches[message["stream"]] += message["manifest"]
            else:
                stream, row = message["stream"], message["record"]
                key = tuple(row[column] for column in keys[stream])
                self.tables[stream][key] = row
                self.loaded[stream].append(row)

    def rows(self, stream: str) -> list[dict]:
        return list(self.tables[stream].values())

    def uids(self, stream: str) -> list[int]:
        """Return whose rows the last sync read."""
        return [row["uid"] for row in self.loaded[stream]]
