"""Reading a list page by page while people change it.

Redmine pages by offset. A row that is deleted, or that moves to the end because it changes, moves
all rows behind it forward, so the next page would begin behind a row that nobody has read. And
Redmine's times are of whole seconds, which many rows can share.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Key = tuple[str | int, ...]


class Walk:
    """A way through a list whose rows keep their order.

    Pages overlap by one row. If a page begins with a row that has not been read, some before it
    may not have been read either: go back a page.

    Args:
        page_size: Rows to ask for.
    """

    def __init__(self, page_size: int) -> None:
        self.offset = 0
        self.ended = False
        self._page_size = page_size
        self._read: set[Key] = set()

    @property
    def params(self) -> dict[str, str | int]:
        """What to ask for next."""
        return {"offset": self.offset, "limit": self._page_size}

    def take(self, page: list[Row], limit: int | None) -> list[Row]:
        """Return the rows of a page that were not read before, and decide where to go on.

        Args:
            page: The rows that Redmine answered.
            limit: Its idea of a full page; None for a list that it does not page.
        """
        keys = [self._key(row) for row in page]
        in_touch = self.offset == 0 or (keys and keys[0] in self._read)
        fresh = [row for key, row in zip(keys, page, strict=True) if key not in self._read]
        self._read.update(keys)
        if not in_touch:
            self.offset = max(0, self.offset - self._page_size)
        elif limit is None or len(page) < limit:
            self.ended = True
        else:
            self._go_on(page)
        return fresh

    def _key(self, row: Row) -> Key:
        return (row["id"],)

    def _go_on(self, page: list[Row]) -> None:
        self.offset += len(page) - 1


class WalkByTime(Walk):
    """A way through a list that is sorted by `updated_on`.

    The next page is all that was updated since the last row of the page before, its whole second
    included. Offsets serve within one second only, when it has more rows than a page.

    Args:
        page_size: Rows to ask for.
        since: Where to begin.
        until: Where to end; both in the form that Redmine writes: 2026-01-31T00:00:00Z.
    """

    def __init__(self, page_size: int, since: str, until: str) -> None:
        super().__init__(page_size)
        self._since = since
        self._until = until

    @property
    def params(self) -> dict[str, str | int]:
        """What to ask for next."""
        return {
            **super().params,
            "updated_on": f"><{self._since}|{self._until}",
            "sort": "updated_on,id",
        }

    def _key(self, row: Row) -> Key:
        return row["updated_on"], row["id"]

    def _go_on(self, page: list[Row]) -> None:
        last = page[-1]["updated_on"]
        if last > self._since:
            self._read = {key for key in self._read if key >= (self._since,)}
            self._since, self.offset = last, 0
        else:
            super()._go_on(page)
