"""The rows of attached CSV files and XLSX workbooks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from typing import Any
from zipfile import BadZipFile, ZipFile

from openpyxl import load_workbook

from tap_imap.structure import Part
from tap_imap.texts import as_text, storable

CSV_TYPES = {"text/csv", "text/comma-separated-values", "text/tab-separated-values"}
CSV_NAMES = {".csv", ".tsv"}
XLSX_TYPES = {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
XLSX_NAMES = {".xlsx", ".xlsm"}
DELIMITERS = ",;\t|"

MAX_UNPACKED_RATIO = 10
"""How many times the setting max_part_size the unpacked size of a workbook may be."""

Row = tuple[str, int, dict[str, Any]]
"""The sheet, the number of the row in it (from 1), and the cells by column name."""


class TableError(Exception):
    """A file is not a table, or ends early."""


def is_table(part: Part) -> bool:
    """Return whether a part is a CSV file or a workbook, by its content type and name."""
    return _is(part, CSV_TYPES, CSV_NAMES) or _is(part, XLSX_TYPES, XLSX_NAMES)


def table_rows(part: Part, data: bytes, max_size: int) -> Iterator[Row]:
    """Yield the rows of a file below its row of names, without empty rows.

    Args:
        part: The part that holds the file.
        data: The bytes of the file.
        max_size: The setting max_part_size.

    Raises:
        TableError: The file cannot be read completely.
    """
    if _is(part, XLSX_TYPES, XLSX_NAMES):
        yield from _workbook(data, max_size * MAX_UNPACKED_RATIO)
    else:
        text = as_text(data, part.charset).removeprefix("\ufeff")
        yield from _named("", _lines(text))


def _is(part: Part, types: set[str], names: set[str]) -> bool:
    suffix = PurePath(part.filename or "").suffix.lower()
    return part.content_type in types or suffix in names


def _lines(text: str) -> Iterator[list[str]]:
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=head.count)
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    # strict: otherwise a missing closing quote would put the rest of the file into one cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise TableError(f"the CSV file is broken in line {reader.line_num}: {error}") from error


def _workbook(data: bytes, max_size: int) -> Iterator[Row]:
    try:
        with ZipFile(io.BytesIO(data)) as packed:
            size = sum(each.file_size for each in packed.infolist())
    except BadZipFile as error:
        raise TableError(f"the workbook is broken or has a password: {error}") from error
    if size > max_size:
        raise TableError(
            f"the workbook unpacks to {size} bytes, more than the limit of {max_size}, which is "
            f"{MAX_UNPACKED_RATIO} times max_part_size"
        )
    try:
        # read_only: one row at a time; data_only: the results of formulas when it was saved.
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for sheet in book.worksheets:
            # The dimensions in the file are often wrong.
            sheet.reset_dimensions()
            yield from _named(storable(sheet.title), sheet.iter_rows(values_only=True))
    # openpyxl checks nothing: a damaged file may raise any error.
    except Exception as error:
        raise TableError(f"the workbook is broken: {type(error).__name__}: {error}") from error


def _named(sheet: str, rows: Iterable[Iterable[Any]]) -> Iterator[Row]:
    names: list[str] = []
    for number, row in enumerate(rows, start=1):
        cells = [_value(cell) for cell in row]
        if all(cell in (None, "") for cell in cells):
            continue
        if not names:
            names = _names(cells)
            continue
        names = _names([*names, *[""] * (len(cells) - len(names))])
        yield sheet, number, dict(zip(names, cells, strict=False))


def _names(cells: list[Any]) -> list[str]:
    """Return a name for each column: column_3 if it has none, total_2 for a second total."""
    names: list[str] = []
    for position, cell in enumerate(cells, start=1):
        plain = name = str("" if cell is None else cell).strip() or f"column_{position}"
        count = 2
        while name in names:
            name = f"{plain}_{count}"
            count += 1
        names.append(name)
    return names


def _value(cell: Any) -> Any:
    """Return a cell as a value that JSON supports."""
    if isinstance(cell, str):
        return storable(cell)
    if isinstance(cell, (date, datetime, time)):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta) else cell
