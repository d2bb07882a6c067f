"""Loads the batches of one stream into its table."""

from __future__ import annotations

import contextlib
import functools
import glob
import itertools
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers._batch import BatchFileFormat
from singer_sdk.helpers.capabilities import TargetLoadMethods
from singer_sdk.sql import SQLSink

from target_duckdb.batches import compression, local_file, open_lines, read_records
from target_duckdb.connector import DuckDBConnector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.helpers._batch import BaseBatchFileEncoding

DUCKDB_DEFAULT_LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of a line of JSON that DuckDB reads by default."""


class DuckDBSink(SQLSink[DuckDBConnector]):
    """Loads each batch from a file of JSON lines in one transaction."""

    connector_class = DuckDBConnector
    batch_version: int | None = None
    """The table version in the current BATCH message."""

    @property
    def schema_name(self) -> str:
        """The configured schema, or the one in the stream's name, or `main`."""
        return super().schema_name or "main"

    @property
    def database_name(self) -> str:
        """The file's catalog, which is part of every full table name."""
        return self.connector.catalog

    def conform_name(self, name: str, object_type: str | None = None) -> str:  # noqa: ARG002
        """Return a name unchanged: DuckDB accepts any name in quotes, and ignores case."""
        return name

    @staticmethod
    def _check_conformed_names_not_duplicated(conformed_property_names: dict[str, str]) -> None:
        SQLSink._check_conformed_names_not_duplicated(
            {name: conformed.lower() for name, conformed in conformed_property_names.items()}
        )

    @functools.cached_property
    def column_types(self) -> dict[str, str]:
        """The DuckDB type of every property."""
        return self.connector.column_types(self.schema)

    @functools.cached_property
    def decimals(self) -> list[str]:
        """The properties whose values must not be converted to floats."""
        return [name for name, kind in self.column_types.items() if kind.startswith("DECIMAL")]

    def setup(self) -> None:
        """Create the table, or adapt it to the stream's schema."""
        self.connector.prepare_table(
            self.full_table_name, self.conform_schema(self.schema), self.key_properties
        )

    def process_batch(self, context: dict[str, Any]) -> None:
        """Load the records of a batch."""
        encode = json.JSONEncoder(default=_json_value, check_circular=False).encode
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for record in context["records"]:
                for name in self.decimals:
                    # DuckDB reads a JSON number as a float, but a string exactly.
                    if record.get(name) is not None:
                        record[name] = str(record[name])
                file.write(encode(record) + "\n")
            file.flush()
            self._load([Path(file.name)], {})

    def process_batch_files(self, encoding: BaseBatchFileEncoding, files: Sequence[str]) -> None:
        """Load batch files directly into DuckDB unless that would make decimals inexact.

        Args:
            encoding: The format of the files.
            files: The URLs of the files.
        """
        if encoding.format != BatchFileFormat.JSONL:
            super().process_batch_files(encoding, files)
            return
        properties = self.schema["properties"]
        metadata: dict[str, Any] = {}
        if self.include_sdc_metadata_properties:
            self._add_sdc_metadata_to_record(metadata, {"version": self.batch_version}, {})
            del metadata["_sdc_deleted_at"]  # Taps may write this one themselves.
        with contextlib.ExitStack() as stack:
            paths = [stack.enter_context(local_file(url)) for url in files]
            if all("string" in properties[name].get("type", "") for name in self.decimals):
                self._load(paths, metadata)
            else:
                records = itertools.chain.from_iterable(map(read_records, paths))
                self.process_batch({"records": ({**record, **metadata} for record in records)})

    def _load(self, paths: list[Path], metadata: dict[str, Any]) -> None:
        with self.connector.transaction(self.full_table_name) as connection:
            described = connection.exec_driver_sql(f"DESCRIBE {self.full_table_name}")
            table = {name: kind for name, kind, *_ in described}
            for path in paths:
                connection.exec_driver_sql(self._load_statement(table, path, metadata))

    def _load_statement(self, table: dict[str, str], path: Path, metadata: dict[str, Any]) -> str:
        """Return the SQL that loads a file; an upsert if the stream has keys."""
        quote = self.connector.quote
        kinds = {name.lower(): kind for name, kind in table.items()}
        columns = {name: quote(name) for name in self.column_types}
        # The table may have wider types than the schema, and keys must be compared as those types.
        values = ", ".join(
            f"CAST({_literal(metadata[name]) if name in metadata else column} "
            f"AS {kinds[name.lower()]}) AS {column}"
            for name, column in columns.items()
        )
        listed = ", ".join(columns.values())
        keys = [quote(key) for key in self.key_properties]
        if not keys or self.config["load_method"] == TargetLoadMethods.APPEND_ONLY:
            return (
                f"INSERT INTO {self.full_table_name} ({listed}) "  # noqa: S608 - all names are quoted
                f"SELECT {values} FROM {self._read_json(path)}"
            )
        # Longer than any column's name, and therefore different.
        line = quote(max(columns, key=len) + "#")
        loaded = {name.lower() for name in columns}
        updates = [f"{column} = batch.{column}" for column in columns.values()]
        # A row that is loaded again is no longer deleted. Other columns stay unchanged.
        updates += [
            f"{quote(name)} = NULL"
            for name in table
            if name == "_sdc_deleted_at" and name not in loaded
        ]
        return f"""
            MERGE INTO {self.full_table_name} AS loaded
            USING (
                SELECT DISTINCT ON ({", ".join(keys)}) *
                FROM (SELECT {values}, row_number() OVER () AS {line} FROM {self._read_json(path)})
                ORDER BY {line} DESC
            ) AS batch
            ON {" AND ".join(f"loaded.{key} = batch.{key}" for key in keys)}
            WHEN MATCHED THEN UPDATE SET {", ".join(updates)}
            WHEN NOT MATCHED THEN INSERT ({listed})
            VALUES ({", ".join(f"batch.{column}" for column in columns.values())})
        """  # noqa: S608 - all names are quoted

    def _read_json(self, path: Path) -> str:
        """Return the SQL that reads a file with the types of the schema, without detection."""
        types = ", ".join(f"{_literal(name)}: '{kind}'" for name, kind in self.column_types.items())
        with open_lines(path) as lines:
            longest = max(map(len, lines), default=0)
        return (
            f"read_json({_literal(glob.escape(str(path)))}, columns = {{{types}}}, "
            f"format = 'newline_delimited', compression = '{compression(path)}', "
            f"maximum_object_size = {max(longest, DUCKDB_DEFAULT_LINE_LIMIT)})"
        )


def _json_value(value: Any) -> float | str:
    """Return the JSON form of a value that the SDK parsed."""
    return float(value) if isinstance(value, Decimal) else value.isoformat()


def _literal(value: Any) -> str:
    """Return a value as an SQL literal, for a name, a path or a CAST."""
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
