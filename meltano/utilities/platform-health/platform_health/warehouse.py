"""The warehouse: DuckDB or Snowflake, by its SQLAlchemy URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import tenacity
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from platform_health.errors import HealthError

LOCK_TIMEOUT = 600
"""Seconds to wait while another process writes to a DuckDB file, which allows one writer."""
_LOCK_ERROR = "Could not set lock on file"


class Warehouse:
    """The warehouse with the loaded tables.

    Args:
        url: Its SQLAlchemy URL, such as `duckdb:////data/warehouse.duckdb`.
        schema: The schema of the tables that this package writes.

    Raises:
        HealthError: The URL is not valid, or its driver is not installed.
    """

    def __init__(self, url: str, schema: str = "platform") -> None:
        try:
            self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, NoSuchModuleError) as error:
            raise HealthError(
                f"warehouse_url is not a URL that SQLAlchemy supports ({error}); "
                "set it to duckdb:////path/to/file or snowflake://..."
            ) from None
        self._schema = schema

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open the warehouse for one transaction, after waiting for its lock."""
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _LOCK_ERROR in str(error)),
            wait=tenacity.wait_random_exponential(0.1, max=2),
            stop=tenacity.stop_after_delay(LOCK_TIMEOUT),
            reraise=True,
        )
        try:
            with retry(self._engine.connect) as connection, connection.begin():
                if self.is_duckdb:
                    connection.exec_driver_sql("set timezone = 'UTC'")
                yield connection
        except DBAPIError as error:
            first, *_ = str(error.orig).splitlines()
            raise HealthError(f"the warehouse returned an error: {first}") from None

    @property
    def is_duckdb(self) -> bool:
        """Whether it is a DuckDB file."""
        return self._engine.dialect.name == "duckdb"

    def rows(self, sql: str, **values: Any) -> list[Mapping[str, Any]]:
        """Return the rows of a query, with column names in lower case."""
        with self.transaction() as connection:
            found = connection.execute(sa.text(sql), values)
            names = [name.lower() for name in found.keys()]  # noqa: SIM118 - not a mapping
            return [dict(zip(names, row, strict=True)) for row in found]

    def tables(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return the loaded tables by schema and name, each with its columns, in lower case."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for row in self.rows(
            "select table_schema, table_name, column_name from information_schema.columns "
            "order by table_schema, table_name, ordinal_position"
        ):
            schema, table, column = (str(each).lower() for each in row.values())
            if schema not in ("information_schema", "pg_catalog", self._schema.lower()):
                found[schema, table] = (*found.get((schema, table), ()), column)
        return found

    def quoted(self, schema: str, table: str) -> str:
        """Return the full name of a loaded table, quoted for SQL."""
        return self._engine.dialect.identifier_preparer.format_table(sa.table(table, schema=schema))

    def append(
        self,
        table: str,
        at: datetime,
        columns: Sequence[sa.Column[Any]],
        rows: Iterable[Mapping[str, Any]],
    ) -> None:
        """Add rows to a table of this package, which is created if it is missing.

        Args:
            table: The name of the table.
            at: The time of the measurement, for the first column, `measured_at`.
            columns: The other columns.
            rows: The rows, with a value for each of the other columns.
        """
        measured_at = sa.Column("measured_at", sa.TIMESTAMP(timezone=True))
        found = sa.Table(table, sa.MetaData(schema=self._schema), measured_at, *columns)
        with self.transaction() as connection:
            connection.execute(sa.schema.CreateSchema(self._schema, if_not_exists=True))
            found.create(connection, checkfirst=True)
            if listed := [{"measured_at": at, **row} for row in rows]:
                connection.execute(found.insert(), listed)

    def delete_measurements(self, tables: Iterable[str], before: datetime) -> int:
        """Delete rows measured before a time from this package's tables; return their number."""
        deleted = 0
        with self.transaction() as connection:
            known = {name.lower() for name in sa.inspect(connection).get_table_names(self._schema)}
            for name in known.intersection(tables):
                at = sa.column("measured_at", sa.TIMESTAMP(timezone=True))
                table = sa.table(name, at, schema=self._schema)
                deleted += connection.execute(sa.delete(table).where(at < before)).rowcount
        return deleted

    def execute(self, sql: str) -> None:
        """Run a statement."""
        with self.transaction() as connection:
            connection.execute(sa.text(sql))
