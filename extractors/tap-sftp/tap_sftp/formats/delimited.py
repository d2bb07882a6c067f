"""CSV files with any separator."""

from __future__ import annotations

import csv
from typing import IO

from tap_sftp.entries import Entry
from tap_sftp.errors import BadRowError
from tap_sftp.formats.lines import MAX_LINE_LENGTH, Lines
from tap_sftp.formats.tables import Cells

csv.field_size_limit(MAX_LINE_LENGTH)


def read_cells(file: IO[bytes], entry: Entry) -> Cells:
    """Yield the rows, each with the number of the line in which it begins."""
    with Lines(file, entry.encoding) as lines:
        rows = csv.reader(lines, delimiter=entry.delimiter, strict=True)
        while True:
            number = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                raise BadRowError(number, f"is not valid CSV: {error}") from None
            if cells is None:
                return
            yield number, cells
