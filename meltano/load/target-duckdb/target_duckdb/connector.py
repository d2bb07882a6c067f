"""The DuckDB file: its types, its lock and its tables."""

from __future__ import annotations

import contextlib
import functools
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backoff
import duckdb
import sqlalchemy as sa
from singer_sdk.helpers.capabilities import TargetLoadMethods
from singer_sdk.sql import SQLConnector
from singer_sdk.sql.connector import FullyQualifiedName, JSONSchemaToSQL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.types import TypeEngine

MAX_PRECISION = 38
BIGINT_DIGITS = 19


class LoadError(Exception):
    """An error that stops the load, with a message of one line."""


class DuckDBTypes(JSONSchemaToSQL):
    """Conversion of JSON Schema properties to DuckDB types."""

    def __init__(self, *, max_varchar_length: int | None = None) -> None:
        super().__init__(max_varchar_length=max_varchar_length)
        self.register_type_handler("integer", sa.BIGINT)
        self.register_type_handler("number", self._number)
        self.register_type_handler("object", sa.JSON)
        self.register_type_handler("array", sa.JSON)
        self.register_format_handler("date-time", lambda _: sa.TIMESTAMP(timezone=True))
        for name in ("singer.decimal", "x-singer.decimal"):
            self.register_format_handler(name, self._singer_decimal)

    def to_sql_type(self, schema: dict[str, Any]) -> TypeEngine[Any]:
        """Return the type of a property. Text has neither a length nor a format in DuckDB."""
        native = str(schema.get("x-sql-datatype"))
        if match := re.fullmatch(r"(?:decimal|numeric)\((\d+), *(\d+)\)", native, re.IGNORECASE):
            return decimal_or_double(int(match[1]), int(match[2]))
        sql_type = super().to_sql_type(schema)
        return sa.VARCHAR() if isinstance(sql_type, sa.String | sa.Uuid) else sql_type

    @staticmethod
    def _number(schema: dict[str, Any]) -> TypeEngine[Any]:
        if "multipleOf" not in schema:
            return sa.DOUBLE()
        exponent = Decimal(str(schema["multipleOf"])).normalize().as_tuple().exponent
        scale = max(0, -int(exponent))
        # multipleOf does not limit the digits before the point: leave room for any BIGINT.
        return decimal_or_double(max(MAX_PRECISION, scale + BIGINT_DIGITS), scale)

    @staticmethod
    def _singer_decimal(schema: dict[str, Any]) -> TypeEngine[Any]:
        if "precision" not in schema:
            return sa.DOUBLE()
        return decimal_or_double(schema["precision"], schema.get("scale") or 0)


def decimal_or_double(precision: int, scale: int) -> TypeEngine[Any]:
    """Return DECIMAL, or DOUBLE if DuckDB has no DECIMAL that wide."""
    return sa.DECIMAL(precision, scale) if precision <= MAX_PRECISION else sa.DOUBLE()


class DuckDBConnector(SQLConnector):
    """Opens the file only during a transaction, because DuckDB allows one writer."""

    jsonschema_to_sql_converter = DuckDBTypes

    def create_engine(self) -> sa.Engine:
        """Return an engine without a connection pool, so that the file is closed after use."""
        path = Path(self.config["path"]).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        url = sa.URL.create("duckdb", database=str(path))
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        sa.event.listen(engine, "do_connect", self._connect_when_free)
        sa.event.listen(engine, "connect", lambda dbapi, _: dbapi.execute("SET TimeZone = 'UTC'"))
        return engine

    def _connect_when_free(
        self, dialect: Dialect, _record: object, args: tuple[Any, ...], params: dict[str, Any]
    ) -> Any:
        path, timeout = self.config["path"], self.config["lock_timeout"]

        def log_first_wait(attempt: Any) -> None:
            if attempt["tries"] == 1:
                lock = lock_holder(attempt["exception"])
                self.logger.info("Waiting up to %s s for %s, locked by %s", timeout, path, lock)

        @backoff.on_exception(
            backoff.expo,
            duckdb.IOException,
            giveup=lambda error: lock_holder(error) is None,
            max_time=timeout,
            factor=0.05,
            max_value=1,
            on_backoff=log_first_wait,
            logger=None,
        )
        def connect() -> Any:
            return dialect.connect(*args, **params)

        try:
            return connect()
        except duckdb.IOException as error:
            if not (lock := lock_holder(error)):
                raise
            msg = (
                f"{path} is still locked after {timeout} s, by {lock}; end that process, or raise "
                "lock_timeout"
            )
            raise LoadError(msg) from error

    @contextlib.contextmanager
    def transaction(self, subject: object) -> Iterator[sa.Connection]:
        """Open the file, run one transaction and close the file, so that others wait briefly.

        Args:
            subject: The subject of the transaction, such as its table, for error messages.
        """
        try:
            with self._connect() as connection, connection.begin():
                yield connection
        except sa.exc.DBAPIError as error:
            raise LoadError(f"{subject}: {first_line(error)}") from error

    @functools.cached_property
    def catalog(self) -> str:
        """DuckDB's name of the file: without it, schema `raw` in raw.duckdb is ambiguous."""
        with self.transaction(self.config["path"]) as connection:
            return str(connection.exec_driver_sql("SELECT current_catalog()").scalar_one())

    def quote(self, name: str) -> str:
        """Return a name in quotes, even if it needs none."""
        return self._dialect.identifier_preparer.quote_identifier(name)

    def column_types(self, schema: dict[str, Any]) -> dict[str, str]:
        """Return the DuckDB type of every property by name."""
        return {
            name: self.to_sql_type(definition).compile(self._dialect)
            for name, definition in schema["properties"].items()
        }

    def prepare_table(
        self,
        full_table_name: str | FullyQualifiedName,
        schema: dict[str, Any],
        primary_keys: Sequence[str],
        partition_keys: list[str] | None = None,  # noqa: ARG002
        as_temp_table: bool = False,  # noqa: ARG002
    ) -> None:
        """Create the table, or add and widen its columns, in one transaction.

        No PRIMARY KEY is declared: MERGE needs none, and DuckDB can neither change one nor
        maintain it cheaply. The keys are NOT NULL.

        Args:
            full_table_name: The table, with its schema and catalog.
            schema: The stream's JSON Schema.
            primary_keys: The columns that may not be NULL.
            partition_keys: Ignored: DuckDB has no partitions.
            as_temp_table: Ignored.
        """
        table = full_table_name
        database_name, schema_name, _ = self.parse_full_table_name(table)
        namespace = FullyQualifiedName(
            schema=schema_name, database=database_name, dialect=self._dialect
        )
        types = {name.lower(): kind for name, kind in self.column_types(schema).items()}
        keys = {name.lower() for name in primary_keys}
        columns = [f"{self.quote(name)} {types[name.lower()]}" for name in schema["properties"]]
        overwrite = self.config["load_method"] == TargetLoadMethods.OVERWRITE
        with self.transaction(table) as connection:
            run = connection.exec_driver_sql
            run(f"CREATE SCHEMA IF NOT EXISTS {namespace}")
            if overwrite and str(table) not in self._tables_prepared:
                run(f"DROP TABLE IF EXISTS {table}")
            run(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
            for column in columns:
                run(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")
            for name, kind, null, *_ in run(f"DESCRIBE {table}").all():
                alter = f"ALTER TABLE {table} ALTER COLUMN {self.quote(name)}"
                wider = self._wider(connection, kind, types.get(name.lower(), kind))
                if wider != kind:
                    run(f"{alter} SET DATA TYPE {wider}")
                if (null == "YES") == (name.lower() in keys):
                    run(f"{alter} {'SET' if null == 'YES' else 'DROP'} NOT NULL")
        self._tables_prepared[str(table)] = True

    @staticmethod
    def _wider(connection: sa.Connection, current: str, wanted: str) -> str:
        """Return the narrowest type for the values of both according to DuckDB, or VARCHAR."""
        if current == wanted:
            return current
        # DuckDB would convert true to 1 and any text to JSON: combine these types as text only.
        if {current, wanted} & {"BOOLEAN", "JSON", "VARCHAR"}:
            return "VARCHAR"
        both = f"CASE WHEN true THEN NULL::{current} ELSE NULL::{wanted} END"
        try:
            return str(connection.exec_driver_sql(f"SELECT typeof({both})").scalar_one())
        except sa.exc.DBAPIError:
            return "VARCHAR"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, without the SQL around it."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return str(cause).partition("\n")[0]


def lock_holder(error: BaseException) -> str | None:
    """Return the process that has the file locked, or None if the error has another cause."""
    if "Could not set lock on file" not in str(error):
        return None
    found = re.search(r"held in (.+?\(PID \d+\))", str(error))
    return found[1] if found else "another process"
