"""Reading rows from an open file: one module per format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

from tap_sftp.entries import OWN_COLUMNS, Entry
from tap_sftp.errors import BadFileError
from tap_sftp.formats import delimited, fixed_width, xlsx, xml
from tap_sftp.formats.tables import Table

Rows = Iterator[tuple[int, dict[str, Any]]]


def read_rows(file: IO[bytes], entry: Entry) -> Rows:
    """Yield the number and the values of each row, before conversion to their types.

    Args:
        file: The unpacked file.
        entry: Its entry in the settings.

    Yields:
        The number of the line, the sheet's row or the XML record; and the values by column.
    """
    if entry.format == "fixed_width":
        yield from fixed_width.read_rows(file, entry)
    elif entry.format == "xml":
        yield from xml.read_rows(file, entry)
    else:
        with _table(file, entry) as table:
            yield from table.rows()


def read_header(file: IO[bytes], entry: Entry) -> list[str]:
    """Return the columns that a file itself names."""
    with _table(file, entry) as table:
        return table.header


@contextmanager
def _table(file: IO[bytes], entry: Entry) -> Iterator[Table]:
    read_cells = xlsx.read_cells if entry.format == "xlsx" else delimited.read_cells
    with closing(read_cells(file, entry)) as cells:
        table = Table(cells, entry)
        missing = {*entry.primary_keys} - {*OWN_COLUMNS, *table.header}
        # An empty file is accepted as a file without rows.
        if missing and table.header:
            raise BadFileError(f"has no column {min(missing)}, which is one of primary_keys")
        yield table
