"""What a run must load: a successful run that loads nothing, or old rows, is a silent failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dag_factory.errors import InvalidValueError
from dag_factory.options.times import duration, written_duration
from dag_factory.options.values import mapping, read_part, whole, wrong_value

_AGE = "max_age"
_ROWS = ("min", "max")
_KEYS = {"rows", _AGE, "streams"}


@dataclass(frozen=True)
class Bounds:
    """The expected number of rows, and the age of the newest.

    Attributes:
        min: The least number of rows.
        max: The greatest number of rows; any number, when unset.
        max_age: The greatest age of the newest bookmark when the run ends; any age, when unset.
    """

    min: int = 0
    max: int | None = None
    max_age: timedelta | None = None

    def __str__(self) -> str:
        rows = f"{self.min} to {'any number' if self.max is None else self.max}"
        if self.max_age is None:
            return rows
        return f"{rows}, no older than {written_duration(self.max_age)}"

    def unmet_by_rows(self, rows: int) -> str | None:
        """Return the bound that a number of rows does not meet."""
        if rows < self.min:
            return f"expected at least {self.min} rows, got {rows}"
        if self.max is not None and rows > self.max:
            return f"expected at most {self.max} rows, got {rows}"
        return None

    def unmet_by_age(self, newest: datetime | None, now: datetime) -> str | None:
        """Return the bound that the newest bookmark does not meet."""
        if self.max_age is None:
            return None
        if newest is None:
            return "no bookmark tells how old the newest row is"
        if now - newest > self.max_age:
            limit = written_duration(self.max_age)
            return (
                f"the newest row is from {newest.isoformat(timespec='seconds')}, older than {limit}"
            )
        return None


@dataclass(frozen=True)
class Expectation:
    """What a run must load.

    Attributes:
        run: The bounds of all its streams together.
        streams: The bounds of single streams.
    """

    run: Bounds = field(default_factory=Bounds)
    streams: Mapping[str, Bounds] = field(default_factory=dict)

    def __str__(self) -> str:
        named = {"rows": self.run, **self.streams}
        return "; ".join(f"{name}: {each}" for name, each in named.items())

    @property
    def of_age(self) -> bool:
        """Whether it limits the age of the newest row."""
        return any(each.max_age is not None for each in (self.run, *self.streams.values()))

    @property
    def of_rows(self) -> bool:
        """Whether it limits the number of rows."""
        return any(each.min or each.max is not None for each in (self.run, *self.streams.values()))

    def wrong_rows(self, counted: Mapping[str, int] | None, left_out: int = 0) -> list[str]:
        """Return the expected row counts that the run did not meet.

        Args:
            counted: The rows of each stream; `None` if no plugin counted them.
            left_out: The rows of streams that are not in `counted`.
        """
        if not self.of_rows:
            return []
        if counted is None:
            return ["rows are expected, but neither the extractor nor the loader counts them"]
        found = [self.run.unmet_by_rows(sum(counted.values()) + left_out)]
        for stream, bounds in self.streams.items():
            unmet = bounds.unmet_by_rows(counted.get(stream, 0))
            found.append(unmet and f"stream {stream}: {unmet}")
        return [each for each in found if each]

    def wrong_ages(self, newest: Mapping[str, datetime], now: datetime) -> list[str]:
        """Return the expected ages that the run did not meet.

        Args:
            newest: The newest bookmark of each stream whose bookmark is a date and time.
            now: The time at which the run ended.
        """
        found = [self.run.unmet_by_age(max(newest.values(), default=None), now)]
        for stream, bounds in self.streams.items():
            unmet = bounds.unmet_by_age(newest.get(stream), now)
            found.append(unmet and f"stream {stream}: {unmet}")
        return [each for each in found if each]


def expectation(value: Any) -> Expectation:
    """Read an expectation: `{rows: {min: 1}, max_age: 26h, streams: {NAME: {min: 1}}}`."""
    if not isinstance(value, dict) or not value or not set(value) <= _KEYS:
        form = "{rows: {min: ..., max: ...}, max_age: 26h, streams: {NAME: {...}}}"
        raise wrong_value(form, value)
    rows = _bounds("rows", value["rows"], _ROWS) if "rows" in value else Bounds()
    streams = {
        name: _bounds(f"streams: {name}", bounds, (*_ROWS, _AGE))
        for name, bounds in read_part(
            "has `streams`, which", mapping, value.get("streams", {})
        ).items()
    }
    return Expectation(replace(rows, max_age=_max_age(value, _AGE)), streams)


def _bounds(where: str, value: Any, keys: tuple[str, ...]) -> Bounds:
    if not isinstance(value, dict) or not value or not set(value) <= {*keys}:
        form = ", ".join(f"{key}: ..." for key in keys)
        raise InvalidValueError(f"has `{where}`, which must be {{{form}}}")
    numbers = {
        key: read_part(f"has `{where}: {key}`, which", whole(0), number)
        for key, number in value.items()
        if key in _ROWS
    }
    found = Bounds(**numbers, max_age=_max_age(value, f"{where}: {_AGE}"))
    if found.max is not None and found.max < found.min:
        raise InvalidValueError(f"has `{where}` with a max below its min")
    return found


def _max_age(bounds: Mapping[str, Any], where: str) -> timedelta | None:
    if _AGE not in bounds:
        return None
    return read_part(f"has `{where}`, which", duration, bounds[_AGE])
