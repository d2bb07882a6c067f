"""From an open file to records: unpacking, reading, converting, and saying what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from tap_sftp.entries import EXTRA, FILE, ROW, Entry
from tap_sftp.errors import BadFileError, BadRowError, TapSftpError
from tap_sftp.formats import read_header, read_rows
from tap_sftp.packing import contents, unpacking

logger = logging.getLogger(__name__)


class Reader:
    """Makes records of the files of an entry.

    Args:
        entry: What the settings say of the files.
        columns: The columns that the records have.
    """

    def __init__(self, entry: Entry, columns: Sequence[str]) -> None:
        self._entry = entry
        self._columns = columns
        self._converters = [*entry.converters(columns).items()]
        self._keys = [name for name in entry.primary_keys if name in columns]

    def records(self, file: IO[bytes], path: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a file, or of all files in it if it is an archive.

        Raises:
            TapSftpError: Something cannot be read; it says where.
        """
        with _told(self._entry, path), unpacking():
            for member, content in contents(file, spreadsheets=self._entry.format == "xlsx"):
                inner = f"{path}/{member}" if member else path
                with _told(self._entry, inner):
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
                    raise BadRowError(number, f"column {name} is empty, but one of primary_keys")
            if self._entry.has_header:
                record[EXTRA] = {name: values[name] for name in extra} if extra else None
            yield record

    def _compare(self, values: dict[str, Any], path: str) -> list[str]:
        """Return the columns of a file that nobody knows, and warn of differences."""
        extra = [name for name in values if name not in self._columns]
        if extra:
            logger.warning("%s has unknown columns, which go to %s: %s", path, EXTRA, extra)
        if missing := [name for name in self._columns if name not in values]:
            logger.warning("%s lacks columns, which will be null: %s", path, missing)
        return extra


def header(file: IO[bytes], path: str, entry: Entry) -> list[str]:
    """Return the columns that a file tells; of an archive, its first file's."""
    with _told(entry, path), unpacking():
        for _, content in contents(file, spreadsheets=entry.format == "xlsx"):
            return read_header(content, entry)
    return []


@contextmanager
def _told(entry: Entry, path: str) -> Iterator[None]:
    """Say where it is that something cannot be read, and what can be done."""
    advice = f"correct the file and send it again, or change its entry {entry.name} in files"
    try:
        yield
    except BadRowError as error:
        raise TapSftpError(f"{path}:{error.row}: {error}; {advice}") from None
    except BadFileError as error:
        raise TapSftpError(f"{path} {error}; {advice}") from None
