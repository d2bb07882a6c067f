"""From an open file to records: archive_errors, reading, converting, and reporting errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from tap_sftp.entries import EXTRA, FILE, ROW, Entry
from tap_sftp.errors import BadFileError, BadRowError, TapSftpError
from tap_sftp.formats import read_header, read_rows
from tap_sftp.packing import archive_errors, contents

logger = logging.getLogger(__name__)


class Reader:
    """Makes records from the files of an entry.

    Args:
        entry: The entry in the settings.
        columns: The columns of the records.
    """

    def __init__(self, entry: Entry, columns: Sequence[str]) -> None:
        self._entry = entry
        self._columns = columns
        self._converters = [*entry.converters(columns).items()]
        self._keys = [name for name in entry.primary_keys if name in columns]

    def records(self, file: IO[bytes], path: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a file, or of all files in it if it is an archive.

        Raises:
            TapSftpError: The file cannot be read. The message says where.
        """
        with _located_errors(self._entry, path), archive_errors():
            for member, content in contents(file, spreadsheets=self._entry.format == "xlsx"):
                inner = f"{path}/{member}" if member else path
                with _located_errors(self._entry, inner):
                    yield from self._records(content, inner)

    def _records(self, file: IO[bytes], path: str) -> Iterator[dict[str, Any]]:
        extra: list[str] | None = None
        for number, values in read_rows(file, self._entry):
            if extra is None:
                extra = self._compare(values, path)
            record = {FILE: path, ROW: number}
            for name, convert in self._converters:
                try:
                    record[name] = convert(values.get(name))
                except ValueError as error:
                    raise BadRowError(number, f"column {name} {error}") from None
            for name in self._keys:
                if record[name] is None:
                    raise BadRowError(
                        number, f"column {name} is empty, but it is one of primary_keys"
                    )
            if self._entry.has_header:
                record[EXTRA] = {name: values[name] for name in extra} if extra else None
            yield record

    def _compare(self, values: dict[str, Any], path: str) -> list[str]:
        """Return the unknown columns of a file, and log unknown and missing columns."""
        extra = [name for name in values if name not in self._columns]
        if extra:
            logger.warning("%s has unknown columns, loaded into %s: %s", path, EXTRA, extra)
        if missing := [name for name in self._columns if name not in values]:
            logger.warning("%s does not have these columns, loaded as null: %s", path, missing)
        return extra


def header(file: IO[bytes], path: str, entry: Entry) -> list[str]:
    """Return the columns that a file names; of an archive, those that its first file names."""
    with _located_errors(entry, path), archive_errors():
        for _, content in contents(file, spreadsheets=entry.format == "xlsx"):
            return read_header(content, entry)
    return []


@contextmanager
def _located_errors(entry: Entry, path: str) -> Iterator[None]:
    """Add to an error where it happened and what to do."""
    advice = f"correct the file and send it again, or change the entry {entry.name} in files"
    try:
        yield
    except BadRowError as error:
        raise TapSftpError(f"{path}:{error.row}: {error}; {advice}") from None
    except BadFileError as error:
        raise TapSftpError(f"{path} {error}; {advice}") from None
