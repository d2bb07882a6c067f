"""CSV files, whatever it is that separates their columns."""

from __future__ import annotations

import csv
from typing import IO

from tap_sftp.entries import Entry
from tap_sftp.errors import BadRowError
from tap_sftp.formats.lines import LONGEST, Lines
from tap_sftp.formats.tables import Cells

csv.field_size_limit(LONGEST)


def read_cells(file: IO[bytes], entry: Entry) -> Cells:
    """Yield the rows; the number is that of the line where a row begins."""
    with Lines(file, entry.encoding) as lines:
        rows = csv.reader(lines, delimiter=entry.delimiter, strict=True)
        while True:
            number = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                raise BadRowError(number, f"is no CSV: {error}") from None
            if cells is None:
                return
            yield number, cells
