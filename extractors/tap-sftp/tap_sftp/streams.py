"""The streams: one for each entry of the setting `files`."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from singer_sdk import Stream
from singer_sdk import typing as th
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context

from tap_sftp.entries import EXTRA, FILE, MODIFIED, OWN_COLUMNS, ROW, Entry
from tap_sftp.errors import TapSftpError
from tap_sftp.reading import Reader
from tap_sftp.values import SCHEMAS

if TYPE_CHECKING:
    from tap_sftp.client import SftpServer
    from tap_sftp.listing import RemoteFile
    from tap_sftp.tap import TapSftp

STATE_KEY = "files"
"""The key in the state of the files that were read, each with its time and size."""

ROW_DESCRIPTIONS = {
    "csv": "Number of the line in which the row begins",
    "fixed_width": "Number of the line",
    "xlsx": "Number of the row in the sheet",
    "xml": "Number of the record in the document",
}


class FilesStream(Stream):
    """The rows of all files of an entry.

    A file is read if its path is new, or if its time or size has changed since it was read. This
    finds files that were sent again, and files that arrive with an old time. A file is added to
    the state after its last row, so that the sync after a failed one continues with the file that
    failed. Files deleted from the server are removed from the state, so that it does not grow.
    """

    replication_key = MODIFIED
    is_sorted = False
    # The values already conform to the schema.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapSftp, entry: Entry, header: list[str]) -> None:
        names = dict.fromkeys([*header, *entry.types, *entry.primary_keys])
        columns = [name for name in names if name not in OWN_COLUMNS]
        self._entry = entry
        self._reader = Reader(entry, columns)
        super().__init__(tap, schema=_schema(entry, columns), name=entry.name)
        self.primary_keys = entry.primary_keys

    @property
    def _server(self) -> SftpServer:
        return cast("TapSftp", self._tap).server

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Yield the rows of the new files, the oldest file first."""
        seen = self.get_context_state(context).setdefault(STATE_KEY, {})
        try:
            for remote in self._new_files(seen):
                if (yield from self._records(remote)):
                    seen[remote.path] = [remote.modified, remote.size]
                    self.state_manager.is_flushed = False
        except TapSftpError:
            if not self.get_batch_config(self.config):
                # The files before the unreadable one need not be read again.
                self._write_state_message()
            raise
        finally:
            self._server.close()

    def _new_files(self, seen: dict[str, list[int]]) -> list[RemoteFile]:
        """Return the files to read, and remove deleted files from the state."""
        if self.replication_method != "INCREMENTAL":
            seen.clear()
        found = self._server.find(self._entry.path)
        for path in seen.keys() - {remote.path for remote in found}:
            del seen[path]
        new = [
            each
            for each in found
            if seen.get(each.path) != [each.modified, each.size] and self._is_due(each)
        ]
        self.logger.info(
            "%s: %d files match %s, %d to read", self.name, len(found), self._entry.path, len(new)
        )
        return new

    def _is_due(self, remote: RemoteFile) -> bool:
        """Return whether a file is old enough to be complete, and not older than start_date."""
        start = self.config.get("start_date")
        if start and remote.modified < parse_time(start).timestamp():
            return False
        age = remote.age()
        if age < self.config["settle_seconds"]:
            self.logger.info(
                "%s was changed %d s ago and is left for the next sync", remote.path, age
            )
            return False
        return True

    def _records(self, remote: RemoteFile) -> Generator[dict[str, Any], None, bool]:
        """Yield the rows of a file, and return whether it was complete.

        The file is copied before it is read, so that no rows of a changing file are loaded, and
        the server does not wait for a slow loader.
        """
        with tempfile.TemporaryFile() as file:
            if not self._server.fetch(remote, file):
                self.logger.warning(
                    "%s is being changed and is left for the next sync", remote.path
                )
                return False
            file.seek(0)
            modified = datetime.fromtimestamp(remote.modified, UTC).isoformat()
            for record in self._reader.records(file, remote.path):
                record[MODIFIED] = modified
                yield record
        return True

    def _increment_stream_state(self, *_: Any, **__: Any) -> None:
        """Do nothing: a bookmark by time would miss files that arrive with an old time."""


def _schema(entry: Entry, columns: list[str]) -> dict[str, Any]:
    """Return the JSON Schema of a stream, with required keys."""

    def column(name: str, kind: Any, description: str) -> th.Property[Any]:
        if name in entry.primary_keys:
            return th.Property(name, kind, required=True, nullable=False, description=description)
        return th.Property(name, kind, description=description)

    properties = [
        column(
            FILE, th.StringType, "Path of the file; in an archive, followed by the member's name"
        ),
        column(ROW, th.IntegerType, ROW_DESCRIPTIONS[entry.format]),
        column(MODIFIED, th.DateTimeType, "When the file was last changed, on the server's clock"),
    ]
    for name in columns:
        kind = entry.types.get(name, "string")
        properties.append(
            column(name, SCHEMAS[kind.partition(" ")[0]], f"Column {name} of the file")
        )
    if entry.has_header:
        extra = th.ObjectType(additional_properties=True)
        properties.append(column(EXTRA, extra, "Columns of the file that are not in the catalog"))
    return th.PropertiesList(*properties).to_dict()


def parse_time(text: str) -> datetime:
    """Return a date or a time; in UTC unless it has another time zone."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
