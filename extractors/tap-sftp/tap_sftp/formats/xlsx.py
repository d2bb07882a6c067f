"""Spreadsheets."""

from __future__ import annotations

import warnings
import zipfile
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

from tap_sftp.entries import Entry
from tap_sftp.errors import BadFileError
from tap_sftp.formats.tables import Cells

_UNREADABLE_ERRORS = (
    InvalidFileException,
    DefusedXmlException,
    ParseError,
    zipfile.BadZipFile,
    KeyError,
    TypeError,
    ValueError,
)
"""The errors that openpyxl raises for a file that is damaged or not a spreadsheet."""


def read_cells(file: IO[bytes], entry: Entry) -> Cells:
    """Yield the rows of a sheet, without the empty cells at their ends."""
    with warnings.catch_warnings():
        # openpyxl warns of everything that it does not support, such as colours.
        warnings.simplefilter("ignore", UserWarning)
        try:
            yield from _read_cells(file, entry)
        except _UNREADABLE_ERRORS:
            raise BadFileError("is not an XLSX spreadsheet, or is damaged") from None


def _read_cells(file: IO[bytes], entry: Entry) -> Cells:
    book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    try:
        names = [sheet.title for sheet in book.worksheets]
        wanted = entry.sheet or names[0]
        if wanted not in names:
            raise BadFileError(f"has no sheet {wanted}; it has {', '.join(names)}")
        sheet = book[wanted]
        # Some programs write wrong dimensions, and rows beyond them would be lost.
        sheet.reset_dimensions()
        width = 0 if entry.has_header else len(entry.columns)
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            cells = _without_empty_end(row)
            if number <= entry.header_row:
                width = len(cells)
            yield number, cells + [None] * (width - len(cells))
    finally:
        book.close()


def _without_empty_end(row: tuple[Any, ...]) -> list[Any]:
    cells = list(row)
    while cells and (cells[-1] is None or not str(cells[-1]).strip()):
        cells.pop()
    return cells
