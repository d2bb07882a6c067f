"""What a DuckDB warehouse holds; needs nothing but duckdb, so that a pod can run it, too."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb

_PATIENCE_SECONDS = 60


def counted(file: Path) -> str:
    """Return a drawing of the tables and how many rows each holds; wait for who writes.

    Raises:
        duckdb.Error: There is no such file, or somebody writes for more than a minute.
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
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return duckdb.connect(str(file), read_only=True)
        except duckdb.IOException:
            if time.monotonic() > end:
                raise
            time.sleep(1)


if __name__ == "__main__":
    print(counted(Path(sys.argv[1])))
