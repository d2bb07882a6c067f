"""Text files with fixed-width columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO

from tap_sftp.entries import Column, Entry
from tap_sftp.errors import BadRowError
from tap_sftp.formats.lines import Lines


def read_rows(file: IO[bytes], entry: Entry) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines that are rows, split into columns, without blanks around values."""
    is_row = re.compile(entry.line_pattern).search
    ranges = [
        (column, column.start - 1, column.start - 1 + column.width) for column in entry.columns
    ]
    with Lines(file, entry.encoding) as lines:
        for line in lines:
            text = line.rstrip("\r\n\x1a")
            if text.strip() and is_row(text):
                _check_end(text, entry.columns, lines.number)
                yield (
                    lines.number,
                    {column.name: text[start:end].strip() for column, start, end in ranges},
                )


def _check_end(text: str, columns: Sequence[Column], row: int) -> None:
    """Reject a line that ends within a value. Trailing blanks may be missing."""
    length = len(text)
    for column in columns:
        if column.type != "string" and column.start <= length < column.start - 1 + column.width:
            raise BadRowError(row, f"the line ends within column {column.name}")
