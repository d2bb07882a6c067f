"""Whether the warehouse has all rows of the sources."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from upath import UPath

from platform_health import meltano
from platform_health.errors import HealthError

if TYPE_CHECKING:
    from platform_health.warehouse import Warehouse

_GZIP = "gzip"


@dataclass
class StreamCount:
    """The number of rows of a stream with different keys; of all rows if it has no keys."""

    keys: Sequence[str]
    rows: int = 0
    _seen: set[int] = field(default_factory=set)

    def note(self, record: Mapping[str, Any]) -> None:
        """Count a record."""
        if self.keys:
            # Hashes instead of keys, because a source may be large.
            self._seen.add(hash(tuple(str(record.get(key)) for key in self.keys)))
            self.rows = len(self._seen)
        else:
            self.rows += 1


def count_streams(messages: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of rows of each stream in a tap's Singer messages."""
    streams: dict[str, StreamCount] = {}
    for message in messages:
        kind = message["type"]
        if kind == "SCHEMA":
            found = StreamCount(tuple(message.get("key_properties") or ()))
            streams.setdefault(message["stream"], found)
        elif kind == "RECORD":
            streams[message["stream"]].note(message["record"])
        elif kind == "BATCH":
            for record in _batched(message):
                streams[message["stream"]].note(record)
    return {name: each.rows for name, each in streams.items()}


def _batched(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    is_packed = message["encoding"].get("compression") == _GZIP
    for address in message["manifest"]:
        path = UPath(address)
        with path.open("rb") as file, gzip.open(file) if is_packed else file as lines:
            yield from map(json.loads, lines)
        path.unlink()


def check(warehouse: Warehouse, extractors: Iterable[str], tolerance: float, now: datetime) -> str:
    """Count and record the rows of sources and of the loaded tables, and return a summary.

    Args:
        warehouse: The warehouse with the loaded tables.
        extractors: The extractors whose sources are read completely.
        tolerance: The percentage of a source's rows that may be missing as newer than the load.
        now: The current time.

    Raises:
        HealthError: Rows are missing.
    """
    wrong, counted = [], []
    tables = warehouse.tables()
    for extractor in extractors:
        schema = meltano.load_schema(extractor).lower()
        for stream, rows in count_streams(meltano.messages(extractor)).items():
            # The SDK's loaders name tables in this way.
            table = stream.rpartition("-")[2].lower()
            loaded = 0
            if (schema, table) in tables:
                sql = f"select count(*) as loaded from {warehouse.quoted(schema, table)}"  # noqa: S608
                loaded = warehouse.rows(sql)[0]["loaded"]
            counted.append((extractor, f"{schema}.{table}", rows, loaded))
            if loaded < rows * (1 - tolerance / 100):
                wrong.append(f"{schema}.{table} has {loaded} of {rows} rows of {extractor}")
    names = ("extractor", "table_name", "source_rows", "loaded_rows")
    warehouse.append(
        "row_counts",
        now,
        [
            sa.Column("extractor", sa.String),
            sa.Column("table_name", sa.String),
            sa.Column("source_rows", sa.BigInteger),
            sa.Column("loaded_rows", sa.BigInteger),
        ],
        [dict(zip(names, each, strict=True)) for each in counted],
    )
    if wrong:
        raise HealthError("; ".join(wrong))
    return f"{len(counted)} tables have all rows of their sources"
