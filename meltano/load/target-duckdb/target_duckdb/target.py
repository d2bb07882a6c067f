"""The target: its settings and its handling of messages."""

from __future__ import annotations

import decimal
import sys
from typing import TYPE_CHECKING, Any, cast

import click
import sqlalchemy as sa
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError, SingerSDKError
from singer_sdk.helpers.capabilities import TargetLoadMethods
from singer_sdk.sql import SQLTarget

from target_duckdb.batches import local_file, local_path, read_records
from target_duckdb.connector import MAX_PRECISION, LoadError, first_line
from target_duckdb.sinks import DuckDBSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.sinks import Sink


class TargetDuckDB(SQLTarget):
    """Loads Singer streams into a DuckDB file."""

    name = "target-duckdb"
    default_sink_class = DuckDBSink
    # DuckDB allows one writer, and uses all cores for a single load.
    max_parallelism = 1

    config_jsonschema = th.PropertiesList(
        th.Property(
            "path",
            th.StringType,
            required=True,
            title="Path",
            description="Path of the DuckDB file. The file and its folder are created if missing.",
        ),
        th.Property(
            "lock_timeout",
            th.IntegerType(minimum=0),
            default=600,
            title="Lock Timeout",
            description="Seconds to wait while another process has the file locked.",
        ),
        th.Property(
            "load_method",
            th.StringType(allowed_values=[method.value for method in TargetLoadMethods]),
            default=TargetLoadMethods.UPSERT.value,
            title="Load Method",
            description=(
                "`upsert` replaces rows with the same keys and appends if the stream has no keys, "
                "`append-only` keeps every record, `overwrite` drops the table first."
            ),
        ),
        th.Property(
            "clean_up_batch_files",
            th.BooleanType,
            default=True,
            title="Clean Up Batch Files",
            description="Remove local files of BATCH messages after they are loaded.",
        ),
    ).to_dict()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Validation divides by multipleOf, and the default of 28 digits is too few for DuckDB.
        decimal.getcontext().prec = 2 * MAX_PRECISION

    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        key_properties: Sequence[str] | None = None,
    ) -> Sink:
        """Return the stream's sink; a new one after its schema has changed.

        The SDK keeps the rows of the old sink until the end, when they would replace newer rows.
        """
        old = self._sinks_active.get(stream_name)
        sink = super().get_sink(
            stream_name, record=record, schema=schema, key_properties=key_properties
        )
        if old is not None and old is not sink:
            self.drain_one(old)
        return sink

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        # Otherwise the old version would disappear before the new version's rows are loaded.
        self._drain_stream(message_dict["stream"])
        super()._process_activate_version_message(message_dict)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        self._load_batch(message_dict)
        if self.config["clean_up_batch_files"]:
            for path in filter(None, map(local_path, message_dict["manifest"])):
                path.unlink(missing_ok=True)

    def _load_batch(self, message_dict: dict[str, Any]) -> None:
        sinks = self._drain_stream(message_dict["stream"])
        if not (self.config.get("stream_maps") or self.config.get("flattening_enabled")):
            for sink in sinks:
                sink.batch_version = message_dict.get("version")
            super()._process_batch_message(message_dict)
            return
        # The SDK maps and flattens RECORD messages only.
        template = {name: message_dict.get(name) for name in ("stream", "version")}
        for url in message_dict["manifest"]:
            with local_file(url) as path:
                for record in read_records(path):
                    self._process_record_message({**template, "record": record})

    def _drain_stream(self, stream: str) -> list[DuckDBSink]:
        """Load the waiting rows, so that they do not replace later ones."""
        names = [stream_map.stream_alias for stream_map in self.mapper.stream_maps[stream]]
        sinks = [
            cast("DuckDBSink", self.get_sink(name)) for name in names if self.sink_exists(name)
        ]
        for sink in sinks:
            self.drain_one(sink)
        return sinks

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # The SDK would drain here, perhaps during another drain, and then write the state of rows
        # that are not loaded. Committed rows stay; the next run loads the others.
        sys.exit(128 + signum)

    @classmethod
    def invoke(cls, **options: Any) -> None:
        """Run the target; report an error that stops it in one line.

        Args:
            options: The options of the command line.
        """
        try:
            super().invoke(**options)
        except ConfigValidationError:
            raise  # The SDK reports each of its errors in one line.
        except (LoadError, OSError, SingerSDKError, sa.exc.DBAPIError) as error:
            raise click.ClickException(first_line(error)) from error
