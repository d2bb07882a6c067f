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

DUCKDB_LONGEST_LINE = 16 * 1024 * 1024
"""What DuckDB expects of a line of JSON unless it is told of a longer one."""


class DuckDBSink(SQLSink[DuckDBConnector]):
    """Hands DuckDB each batch as a file of JSON lines, in one transaction."""

    connector_class = DuckDBConnector
    batch_version: int | None = None
    """The table version in the BATCH message at hand."""

    @property
    def schema_name(self) -> str:
        """The schema that is configured or that the stream's name begins with, else `main`."""
        return super().schema_name or "main"

    @property
    def database_name(self) -> str:
        """The file's catalog: every table is called by its full name."""
        return self.connector.catalog

    def conform_name(self, name: str, object_type: str | None = None) -> str:  # noqa: ARG002
        """Keep every name as it is: DuckDB takes any in quotes, and finds it in any case."""
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
        """The properties that must not pass through a float."""
        return [name for name, kind in self.column_types.items() if kind.startswith("DECIMAL")]

    def setup(self) -> None:
        """Create the table, or bring it up to the stream's schema."""
        self.connector.prepare_table(
            self.full_table_name, self.conform_schema(self.schema), self.key_properties
        )

    def process_batch(self, context: dict[str, Any]) -> None:
        """Load the records of a batch."""
        encode = json.JSONEncoder(default=_plain, check_circular=False).encode
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            for record in context["records"]:
                for name in self.decimals:
                    # DuckDB reads a JSON number as a float, but a string digit by digit.
                    if record.get(name) is not None:
                        record[name] = str(record[name])
                file.write(encode(record) + "\n")
            file.flush()
            self._load([Path(file.name)], {})

    def process_batch_files(self, encoding: BaseBatchFileEncoding, files: Sequence[str]) -> None:
        """Load batch files, and leave their records to DuckDB unless a decimal would suffer.

        Args:
            encoding: The format of the files.
            files: Their URLs.
        """
        if encoding.format != BatchFileFormat.JSONL:
            super().process_batch_files(encoding, files)
            return
        properties = self.schema["properties"]
        metadata: dict[str, Any] = {}
        if self.include_sdc_metadata_properties:
            self._add_sdc_metadata_to_record(metadata, {"version": self.batch_version}, {})
            del metadata["_sdc_deleted_at"]  # The one that a tap may have written itself.
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
        """Return the SQL that loads a file: an upsert by the stream's keys, if it has any."""
        quote = self.connector.quote
        kinds = {name.lower(): kind for name, kind in table.items()}
        columns = {name: quote(name) for name in self.column_types}
        # The table may have wider types than this schema, and keys must be compared as it has them.
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
        # Longer than any column's name, so it is none of them.
        line = quote(max(columns, key=len) + "#")
        loaded = {name.lower() for name in columns}
        updates = [f"{column} = batch.{column}" for column in columns.values()]
        # A row that comes again is not deleted any more. Other columns are left as they are.
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
        """Return the SQL that reads a file with the types of the schema, guessing nothing."""
        types = ", ".join(f"{_literal(name)}: '{kind}'" for name, kind in self.column_types.items())
        with open_lines(path) as lines:
            longest = max(map(len, lines), default=0)
        return (
            f"read_json({_literal(glob.escape(str(path)))}, columns = {{{types}}}, "
            f"format = 'newline_delimited', compression = '{compression(path)}', "
            f"maximum_object_size = {max(longest, DUCKDB_LONGEST_LINE)})"
        )


def _plain(value: Any) -> float | str:
    """Return what JSON has for a value that the SDK parsed."""
    return float(value) if isinstance(value, Decimal) else value.isoformat()


def _literal(value: Any) -> str:
    """Return a value as SQL text, for a name, a path or a CAST."""
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
