"""What is left of a run when it is over, in a form that fits a pod's termination message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

LONGEST = 2048
"""How many bytes Kubernetes keeps of a container's termination message, in pods of six containers:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"""
_LONGEST_ERROR = 600


@dataclass(frozen=True)
class RunSummary:
    """What a run of Meltano tells when it is over.

    Attributes:
        exit_code: The return code of the process, which is negative if a signal killed it; or an
            `ExitCode`.
        error: The last error that it logged.
        rows: The rows of each stream, or `None` where nobody counted.
        counted: Whether the log was as fine as to hold counts at all.
        is_part: Whether streams are left out, for want of room: those with the fewest rows.
        left_out: How many rows these have together.
        newest: The newest bookmark of each stream that is a moment, where that was asked for.
    """

    exit_code: int
    error: str | None = None
    rows: Mapping[str, int] | None = None
    counted: bool = False
    is_part: bool = False
    left_out: int = 0
    newest: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the rows of every stream are known."""
        return self.counted and not self.is_part

    def knows(self, stream: str) -> bool:
        """Whether a stream is not one of those that are left out."""
        return not self.is_part or stream in (self.rows or ()) or stream in self.newest

    def to_json(self) -> bytes:
        """Return the summary as JSON of no more than `LONGEST` bytes.

        What does not fit is left out: the end of the error, and streams, last of all the one with
        the newest bookmark and those with the most rows.
        """
        kept = replace(self, error=self.error and _shortened(self.error))
        while len(written := kept._written()) > LONGEST:
            kept = kept._half()
        return written

    def _written(self) -> bytes:
        newest = {name: moment.isoformat() for name, moment in self.newest.items()}
        return _as_json({**asdict(self), "newest": newest})

    def _half(self) -> Self:
        rows, newest = self.rows or {}, self.newest
        latest = max(newest, key=lambda name: newest[name], default=None)
        streams = sorted({*rows, *newest}, key=lambda name: (name != latest, -rows.get(name, 0)))
        kept = {*streams[: len(streams) // 2]}
        left_out = sum(each for name, each in rows.items() if name not in kept)
        return replace(
            self,
            rows=self.rows and {name: each for name, each in rows.items() if name in kept},
            newest={name: each for name, each in newest.items() if name in kept},
            is_part=True,
            left_out=self.left_out + left_out,
        )

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Read what `to_json` wrote, of this version or a later one; anything else is `None`."""
        try:
            written: Any = json.loads(text)
            known = {each.name: written[each.name] for each in fields(cls) if each.name in written}
            newest = {
                name: datetime.fromisoformat(moment) for name, moment in known["newest"].items()
            }
            return cls(**{**known, "newest": newest})
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


def _shortened(error: str) -> str:
    """Return the beginning of an error that takes no more than half of the bytes."""
    error = error[:_LONGEST_ERROR]
    while len(_as_json(error)) > LONGEST // 2:
        error = error[: len(error) * 3 // 4]
    return error


def _as_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    # Half a surrogate pair, of which a tap's broken text may consist, becomes JSON's escape.
    return text.encode("utf-8", "backslashreplace")


def newest_bookmarks(state: Any) -> dict[str, datetime]:
    """Return the bookmark of each stream that is a moment.

    Args:
        state: As `meltano state get` prints it: Singer's state, below `singer_state`
            (https://docs.meltano.com/reference/command-line-interface#state). A bookmark of
            partitions counts by its newest one.
    """
    try:
        streams = state["singer_state"]["bookmarks"].items()
    except (AttributeError, KeyError, TypeError):
        return {}
    found = {stream: [*_moments(bookmark)] for stream, bookmark in streams}
    return {stream: max(moments) for stream, moments in found.items() if moments}


def _moments(bookmark: Any) -> list[datetime]:
    """Return every moment in a bookmark: taps write what they like."""
    if isinstance(bookmark, Mapping):
        return [moment for value in bookmark.values() for moment in _moments(value)]
    if isinstance(bookmark, list):
        return [moment for value in bookmark for moment in _moments(value)]
    moment = _moment(bookmark)
    return [moment] if moment else []


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
