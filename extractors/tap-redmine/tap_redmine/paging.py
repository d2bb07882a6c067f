"""Reading a list page by page while users change it.

Redmine pages by offset. If a row is deleted, or moves to the end because it changes, all rows
after it move up by one, and the next page would skip an unread row. Redmine's times also have
whole seconds, so that many rows can have the same time.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Key = tuple[str | int, ...]


class OffsetPaging:
    """Paging through a list whose rows keep their order.

    Pages overlap by one row. If a page begins with an unread row, rows before it may be unread
    too: go back a page.

    Args:
        page_size: Rows per request.
    """

    def __init__(self, page_size: int) -> None:
        self.offset = 0
        self.ended = False
        self._page_size = page_size
        self._read: set[Key] = set()

    @property
    def params(self) -> dict[str, str | int]:
        """The query parameters of the next request."""
        return {"offset": self.offset, "limit": self._page_size}

    def take(self, page: list[Row], limit: int | None) -> list[Row]:
        """Return the unread rows of a page, and decide which page comes next.

        Args:
            page: The rows that Redmine returned.
            limit: The size of a full page; None for a list that Redmine does not page.
        """
        keys = [self._key(row) for row in page]
        overlaps = self.offset == 0 or (keys and keys[0] in self._read)
        unread = [row for key, row in zip(keys, page, strict=True) if key not in self._read]
        self._read.update(keys)
        if not overlaps:
            self.offset = max(0, self.offset - self._page_size)
        elif limit is None or len(page) < limit:
            self.ended = True
        else:
            self._advance(page)
        return unread

    def _key(self, row: Row) -> Key:
        return (row["id"],)

    def _advance(self, page: list[Row]) -> None:
        self.offset += len(page) - 1


class UpdatedOnPaging(OffsetPaging):
    """Paging through a list that is sorted by `updated_on`.

    The next page begins with the second in which the last row of the previous page was updated.
    Offsets are used only within one second, if it has more rows than a page.

    Args:
        page_size: Rows per request.
        since: The time of the first rows, in Redmine's format: 2026-01-31T00:00:00Z.
        until: The time of the last rows, in the same format.
    """

    def __init__(self, page_size: int, since: str, until: str) -> None:
        super().__init__(page_size)
        self._since = since
        self._until = until

    @property
    def params(self) -> dict[str, str | int]:
        """The query parameters of the next request."""
        return {
            **super().params,
            "updated_on": f"><{self._since}|{self._until}",
            "sort": "updated_on,id",
        }

    def _key(self, row: Row) -> Key:
        return row["updated_on"], row["id"]

    def _advance(self, page: list[Row]) -> None:
        last = page[-1]["updated_on"]
        if last > self._since:
            self._read = {key for key in self._read if key >= (self._since,)}
            self._since, self.offset = last, 0
        else:
            super()._advance(page)
