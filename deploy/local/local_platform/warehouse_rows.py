"""The row counts of a DuckDB warehouse; imports only duckdb, so that a pod can run this file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb

_WAIT_SECONDS = 60


def row_counts(file: Path) -> str:
    """Return a drawing of the tables with their row counts; wait while another process writes.

    Raises:
        duckdb.Error: The file does not exist, or another process writes for more than a minute.
    """
    with _opened(file) as warehouse:
        tables = warehouse.execute(
            "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
        ).fetchall()
        counts = " UNION ALL ".join(
            f'SELECT \'{schema}.{name}\' AS "table", count(*) AS "rows" FROM "{schema}"."{name}"'  # noqa: S608
            for schema, name in tables
        )
        return str(warehouse.sql(counts))


def _opened(file: Path) -> duckdb.DuckDBPyConnection:
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return duckdb.connect(str(file), read_only=True)
        except duckdb.IOException:
            if time.monotonic() > end:
                raise
            time.sleep(1)


if __name__ == "__main__":
    print(row_counts(Path(sys.argv[1])))
