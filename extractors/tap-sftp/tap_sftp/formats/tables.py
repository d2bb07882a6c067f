"""Rows of cells under a header: what CSV files and spreadsheets have in common."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from tap_sftp.entries import OWN_COLUMNS, Entry
from tap_sftp.errors import BadFileError, BadRowError

Cells = Generator[tuple[int, Sequence[Any]], None, None]


class Table:
    """Rows whose first names the columns.

    Args:
        cells: Number and cells of each row of the file.
        entry: What the settings say of it.
    """

    def __init__(self, cells: Cells, entry: Entry) -> None:
        self._cells = cells
        self.header = self._read_header(entry) if entry.has_header else list(entry.types)

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows below the header; empty ones are none.

        Raises:
            BadRowError: A row has fewer cells than the header, or values beyond it.
        """
        width = len(self.header)
        for number, cells in self._cells:
            if _empty(cells):
                continue
            if len(cells) < width or not _empty(cells[width:]):
                raise BadRowError(number, f"has {len(cells)} columns, and the header {width}")
            yield number, dict(zip(self.header, cells, strict=False))

    def _read_header(self, entry: Entry) -> list[str]:
        for number, cells in self._cells:
            if number >= entry.header_row:
                return _names(cells, number)
        if entry.header_row > 1:
            raise BadFileError(f"has no row {entry.header_row}, which should be its header")
        return []


def _empty(cells: Sequence[Any]) -> bool:
    return all(cell is None or cell == "" for cell in cells)


def _names(cells: Sequence[Any], row: int) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    for name in names:
        if not name:
            raise BadRowError(row, "has a column without a name; set header_row, or columns")
        if names.count(name) > 1:
            raise BadRowError(row, f"has the column {name} twice; it must be renamed")
        if name in OWN_COLUMNS:
            raise BadRowError(row, f"has a column {name}, a name that the tap uses itself")
    return names
