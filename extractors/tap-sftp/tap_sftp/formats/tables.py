"""Rows of cells below a header, as in CSV files and spreadsheets."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from tap_sftp.entries import OWN_COLUMNS, Entry
from tap_sftp.errors import BadFileError, BadRowError

Cells = Generator[tuple[int, Sequence[Any]], None, None]


class Table:
    """Rows below a header that names the columns.

    Args:
        cells: The number and the cells of each row of the file.
        entry: The entry of the file in the settings.
    """

    def __init__(self, cells: Cells, entry: Entry) -> None:
        self._cells = cells
        self.header = self._read_header(entry) if entry.has_header else list(entry.types)

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows below the header, without empty rows.

        Raises:
            BadRowError: A row has fewer cells than the header, or values beyond it.
        """
        width = len(self.header)
        for number, cells in self._cells:
            if _empty(cells):
                continue
            if len(cells) < width or not _empty(cells[width:]):
                raise BadRowError(number, f"has {len(cells)} columns, but the header has {width}")
            yield number, dict(zip(self.header, cells, strict=False))

    def _read_header(self, entry: Entry) -> list[str]:
        for number, cells in self._cells:
            if number >= entry.header_row:
                return _names(cells, number)
        if entry.header_row > 1:
            raise BadFileError(f"has no row {entry.header_row}, which is set as header_row")
        return []


def _empty(cells: Sequence[Any]) -> bool:
    return all(cell is None or cell == "" for cell in cells)


def _names(cells: Sequence[Any], row: int) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    for name in names:
        if not name:
            raise BadRowError(row, "has a column without a name; set header_row or columns")
        if names.count(name) > 1:
            raise BadRowError(row, f"has several columns named {name}; rename them")
        if name in OWN_COLUMNS:
            raise BadRowError(
                row, f"has a column {name}, a name that is reserved for a column of the tap"
            )
    return names
