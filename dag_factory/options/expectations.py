"""What a run is to load: a green run that loaded nothing, or old rows, is a silent failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_HOURS = timedelta(hours=1)


@dataclass(frozen=True)
class Bounds:
    """How many rows are right, and how old the newest may be.

    Attributes:
        min: No fewer.
        max: No more; any number, when unset.
        max_age: How old the newest bookmark may be when the run ends; any age, when unset.
    """

    min: int = 0
    max: int | None = None
    max_age: timedelta | None = None

    def __str__(self) -> str:
        rows = f"{self.min} to {'any number' if self.max is None else self.max}"
        return rows if self.max_age is None else f"{rows}, no older than {_hours(self.max_age)}"

    def wrong(self, rows: int) -> str | None:
        """Return which of them a number of rows breaks."""
        if rows < self.min:
            return f"expected at least {self.min} rows, and there were {rows}"
        if self.max is not None and rows > self.max:
            return f"expected at most {self.max} rows, and there were {rows}"
        return None

    def too_old(self, newest: datetime | None, now: datetime) -> str | None:
        """Return what is wrong with the newest bookmark."""
        if self.max_age is None:
            return None
        if newest is None:
            return "no bookmark tells how old the newest row is"
        if now - newest > self.max_age:
            wanted = _hours(self.max_age)
            return (
                f"the newest row is of {newest.isoformat(timespec='seconds')}, older than {wanted}"
            )
        return None


@dataclass(frozen=True)
class Expectation:
    """What a run is to load.

    Attributes:
        run: Of all its streams together.
        streams: Of single streams.
    """

    run: Bounds = field(default_factory=Bounds)
    streams: Mapping[str, Bounds] = field(default_factory=dict)

    def __str__(self) -> str:
        named = {"rows": self.run, **self.streams}
        return "; ".join(f"{name}: {each}" for name, each in named.items())

    @property
    def of_age(self) -> bool:
        """Whether bookmarks are to be looked at."""
        return any(each.max_age is not None for each in (self.run, *self.streams.values()))

    @property
    def of_rows(self) -> bool:
        """Whether rows are to be counted."""
        return any(each.min or each.max is not None for each in (self.run, *self.streams.values()))

    def wrong_rows(self, counted: Mapping[str, int] | None, left_out: int = 0) -> list[str]:
        """Return what a run did not keep of the numbers of rows.

        Args:
            counted: The rows of each stream; `None` where nobody counted.
            left_out: Those of streams that are not in `counted`.
        """
        if not self.of_rows:
            return []
        if counted is None:
            return ["rows are expected, and neither the extractor nor the loader counts any"]
        found = [self.run.wrong(sum(counted.values()) + left_out)]
        for stream, bounds in self.streams.items():
            wrong = bounds.wrong(counted.get(stream, 0))
            found.append(wrong and f"stream {stream}: {wrong}")
        return [each for each in found if each]

    def wrong_ages(self, newest: Mapping[str, datetime], now: datetime) -> list[str]:
        """Return what a run did not keep of the ages of rows.

        Args:
            newest: The newest bookmark of each stream that is a moment.
            now: When the run ended.
        """
        found = [self.run.too_old(max(newest.values(), default=None), now)]
        for stream, bounds in self.streams.items():
            wrong = bounds.too_old(newest.get(stream), now)
            found.append(wrong and f"stream {stream}: {wrong}")
        return [each for each in found if each]


def _hours(length: timedelta) -> str:
    return f"{length / _HOURS:g}h"
