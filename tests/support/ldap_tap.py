"""tap-ldap as a test runs it, and a warehouse that its rows are loaded into."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any

import duckdb
from tap_ldap.tap import TapLDAP


def sync(config: dict, *, state: dict | None = None, only: str | None = None) -> list[dict]:
    """Run the tap, and return its Singer messages."""
    tap = TapLDAP(config=config, state=state or {})
    for name in set(tap.streams) - {only or name for name in tap.streams}:
        tap.catalog[name].metadata.root.selected = False
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        tap.sync_all()
    out.seek(0)
    return [json.loads(line) for line in out]


def records(messages: list[dict], stream: str) -> list[dict]:
    return [m["record"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream]


class Warehouse:
    """Loads what the tap writes by upsert, and keeps its state, as a real loader does."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.state: dict = {}
        self.tables: dict[str, dict[tuple, dict]] = {"people": {}, "groups": {}, "memberships": {}}
        self.loaded: list[dict] = []

    def sync(self) -> Warehouse:
        messages = sync(self.config, state=self.state)
        keys = {m["stream"]: m["key_properties"] for m in messages if m["type"] == "SCHEMA"}
        self.loaded = []
        for message in messages:
            if message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "RECORD":
                row, stream = message["record"], message["stream"]
                self.tables[stream][tuple(row[column] for column in keys[stream])] = row
                self.loaded.append(row)
        return self

    def rows(self, stream: str) -> list[dict]:
        return list(self.tables[stream].values())

    def query(self, sql: str) -> list[tuple]:
        """Ask the tables, in SQL."""
        with duckdb.connect() as connection:
            for name in self.tables:
                rows = self.rows(name)
                columns = ", ".join(f"{column} {_sql_type(rows[0][column])}" for column in rows[0])
                connection.execute(f"CREATE TABLE {name} ({columns})")
                places = ", ".join("?" * len(rows[0]))
                connection.executemany(
                    f"INSERT INTO {name} VALUES ({places})",  # noqa: S608
                    [list(row.values()) for row in rows],
                )
            return connection.execute(sql).fetchall()


def _sql_type(value: Any) -> str:
    return "VARCHAR[]" if isinstance(value, list) else "VARCHAR"
