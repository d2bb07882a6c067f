"""How many rows a run is to load: a green run that loaded nothing is a silent failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bounds:
    """How many rows are right.

    Attributes:
        min: No fewer.
        max: No more; any number, when unset.
    """

    min: int = 0
    max: int | None = None

    def __str__(self) -> str:
        return f"{self.min} to {'any number' if self.max is None else self.max}"

    def wrong(self, rows: int) -> str | None:
        """Return which of them a number of rows breaks."""
        if rows < self.min:
            return f"expected at least {self.min} rows, and there were {rows}"
        if self.max is not None and rows > self.max:
            return f"expected at most {self.max} rows, and there were {rows}"
        return None


@dataclass(frozen=True)
class Expectation:
    """How many rows a run is to load.

    Attributes:
        rows: In all.
        streams: Of single streams.
    """

    rows: Bounds = field(default_factory=Bounds)
    streams: Mapping[str, Bounds] = field(default_factory=dict)

    def __str__(self) -> str:
        named = {"rows": self.rows, **self.streams}
        return "; ".join(f"{name}: {each}" for name, each in named.items())

    def wrong(self, counted: Mapping[str, int] | None) -> list[str]:
        """Return what a run did not keep.

        Args:
            counted: The rows of each stream; `None` where nobody counted.
        """
        if counted is None:
            return ["rows are expected, and neither the extractor nor the loader counts any"]
        found = [self.rows.wrong(sum(counted.values()))]
        for stream, bounds in self.streams.items():
            wrong = bounds.wrong(counted.get(stream, 0))
            found.append(wrong and f"stream {stream}: {wrong}")
        return [each for each in found if each]
