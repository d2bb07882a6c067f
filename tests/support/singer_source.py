"""A source that is known to the row: what it has, and the Singer messages that tell of it."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]
BATCH = 10
"""The rows of a batch, in all these tests."""


def may_be_null(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": ["null", kind], **more}


ALL_TYPES = {
    "id": {"type": "integer"},
    "name": may_be_null("string"),
    "amount": may_be_null("number"),
    "flag": may_be_null("boolean"),
    "day": may_be_null("string", format="date"),
    "seen": may_be_null("string", format="date-time"),
    "tags": may_be_null("array", items={"type": "string"}),
    "detail": may_be_null("object", properties={"a": may_be_null("string")}),
}
NAMES = ("Zoë", "李小龍", "🚀 e\u0301", "", 'it\'s "quoted", \\back\\ and\ttabbed\nlines', None)


def person(number: int, **changes: Any) -> Row:
    """Return a row of all types, in which each is now and then null."""
    row = {
        "id": number,
        "name": NAMES[number % len(NAMES)],
        "amount": number / 8,
        "flag": number % 2 == 0,
        "day": f"2026-02-{number % 28 + 1:02}",
        "seen": f"2026-03-29T0{number % 10}:59:59.123456+00:00",
        "tags": ["ä", "b"] * (number % 3),
        "detail": {"a": f"é{number}"},
    }
    empty = list(row)[number % 7 + 1]
    return {**row, empty: None, **changes}


@dataclass
class Stream:
    """A stream, and the rows that one extraction finds."""

    name: str
    properties: dict[str, Any] = field(default_factory=lambda: ALL_TYPES)
    rows: list[Row] = field(default_factory=list)
    keys: tuple[str, ...] = ("id",)
    version: int | None = None

    def schema(self) -> Row:
        schema = {"type": "object", "properties": self.properties}
        head = {"type": "SCHEMA", "stream": self.name, "schema": schema}
        return {**head, "key_properties": list(self.keys)}

    def record(self, row: Row) -> Row:
        version = {"version": self.version} if self.version else {}
        return {"type": "RECORD", "stream": self.name, "record": row, **version}

    def in_batches(self, folder: Path) -> Iterator[Row]:
        """Write the rows to files as the SDK's taps do, and yield the messages that name them."""
        for start in range(0, len(self.rows), BATCH):
            file = folder / f"{self.name}-{start}.json.gz"
            with gzip.open(file, "wt") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in self.rows[start : start + BATCH])
            encoding = {"format": "jsonl", "compression": "gzip"}
            message = {"type": "BATCH", "stream": self.name, "encoding": encoding}
            yield {**message, "manifest": [file.as_uri()]}

    def messages(self, batches: Path | None = None) -> Iterator[Row]:
        yield self.schema()
        yield from self.in_batches(batches) if batches else map(self.record, self.rows)
        if self.version:
            yield {"type": "ACTIVATE_VERSION", "stream": self.name, "version": self.version}

    def canonical(self, rows: list[Row]) -> list[Row]:
        """Return rows in one form, from wherever they come."""
        return [
            {name: canonical(row.get(name), kind) for name, kind in self.properties.items()}
            for row in rows
        ]


def state(bookmark: Any) -> Row:
    return {"type": "STATE", "value": {"bookmark": bookmark}}


def canonical(value: Any, definition: dict[str, Any]) -> Any:
    """Return a value as JSON has it, moments in microseconds since 1970."""
    kinds, kind = definition["type"], definition.get("format")
    if value is None:
        return None
    if kind == "date-time":
        return value if isinstance(value, int) else microseconds(value)
    if kind == "date":
        return value.isoformat() if isinstance(value, date) else value
    if ("array" in kinds or "object" in kinds) and isinstance(value, str):
        return json.loads(value)
    if "number" in kinds:
        return float(value)
    return value


def microseconds(value: str | datetime) -> int:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
