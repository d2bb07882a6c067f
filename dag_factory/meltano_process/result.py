"""The result of a run, in a form that fits a pod's termination message."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

MAX_BYTES = 2048
"""How many bytes of a container's termination message Kubernetes keeps in pods of six containers:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"""
_MAX_ERROR_LENGTH = 600


@dataclass(frozen=True)
class RunSummary:
    """The result of a run of Meltano.

    Attributes:
        exit_code: The return code of the process, which is negative if a signal killed it; or an
            `ExitCode`.
        error: The last error in its log.
        rows: The number of rows of each stream, or `None` if no plugin counts them.
        counted: Whether the log level allowed counts.
        is_part: Whether streams are left out for lack of space: those with the fewest rows.
        left_out: How many rows the streams that are left out have together.
        newest: The newest bookmark of each stream whose bookmarks are timestamps, if requested.
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
        """Return whether a stream is not left out."""
        return not self.is_part or stream in (self.rows or ()) or stream in self.newest

    def to_json(self) -> bytes:
        """Return the summary as JSON of at most `MAX_BYTES` bytes.

        If it is too long, the error is cut and streams are left out. The stream with the newest
        bookmark and the streams with the most rows are kept longest.
        """
        kept = replace(self, error=self.error and _cut(self.error))
        while len(written := kept._to_bytes()) > MAX_BYTES:
            kept = kept._halved()
        return written

    def _to_bytes(self) -> bytes:
        newest = {name: time.isoformat() for name, time in self.newest.items()}
        return _as_json({**asdict(self), "newest": newest})

    def _halved(self) -> Self:
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
        """Read what `to_json` of this or a later version wrote; return `None` for anything else."""
        try:
            written: Any = json.loads(text)
            known = {each.name: written[each.name] for each in fields(cls) if each.name in written}
            newest = {name: datetime.fromisoformat(time) for name, time in known["newest"].items()}
            return cls(**{**known, "newest": newest})
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


def _cut(error: str) -> str:
    """Return the beginning of an error that takes at most half of the bytes."""
    error = error[:_MAX_ERROR_LENGTH]
    while len(_as_json(error)) > MAX_BYTES // 2:
        error = error[: len(error) * 3 // 4]
    return error


def _as_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    # The broken text of a tap may contain half a surrogate pair, which is escaped in JSON.
    return text.encode("utf-8", "backslashreplace")


def newest_bookmarks(state: Any) -> dict[str, datetime]:
    """Return the bookmark of each stream whose bookmark is a timestamp.

    If a stream has partitions, its bookmark is the newest of theirs.

    Args:
        state: What `meltano state get` prints: Singer's state, below `singer_state`
            (https://docs.meltano.com/reference/command-line-interface#state).
    """
    try:
        streams = state["singer_state"]["bookmarks"].items()
    except (AttributeError, KeyError, TypeError):
        return {}
    found = {stream: [*_timestamps(bookmark)] for stream, bookmark in streams}
    return {stream: max(timestamps) for stream, timestamps in found.items() if timestamps}


def _timestamps(bookmark: Any) -> Iterator[datetime]:
    """Yield every timestamp in a bookmark, whose form each tap chooses itself."""
    if isinstance(bookmark, Mapping | list):
        for value in bookmark.values() if isinstance(bookmark, Mapping) else bookmark:
            yield from _timestamps(value)
    elif isinstance(bookmark, str):
        with suppress(ValueError):
            timestamp = datetime.fromisoformat(bookmark)
            yield timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
