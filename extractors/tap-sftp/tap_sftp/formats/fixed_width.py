"""Text whose columns have fixed places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from tap_sftp.entries import Column, Entry
from tap_sftp.errors import BadRowError
from tap_sftp.formats.lines import Lines


def read_rows(file: IO[bytes], entry: Entry) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines that are rows, cut into columns; blanks around a value are not part of it."""
    lines = Lines(file, entry.encoding)
    is_row = re.compile(entry.line_pattern).search
    places = [
        (column, column.start - 1, column.start - 1 + column.width) for column in entry.columns
    ]
    shortest = max((end for column, _, end in places if column.type != "string"), default=0)
    for line in lines:
        text = line.rstrip("\r\n\x1a")
        if not text.strip() or not is_row(text):
            continue
        if len(text) < shortest:
            _check_short(
                text, [column for column, _, end in places if end > len(text)], lines.number
            )
        yield lines.number, {column.name: text[start:end].strip() for column, start, end in places}


def _check_short(text: str, columns: list[Column], row: int) -> None:
    """Refuse a line that ends within a value; ends of blanks may be left out."""
    for column in columns:
        if column.type != "string" and len(text) >= column.start:
            raise BadRowError(row, f"column {column.name}: the line ends within it")
