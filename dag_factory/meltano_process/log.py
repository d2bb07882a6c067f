"""What a run of Meltano tells in its JSON log.

Source: `--log-format json`, https://docs.meltano.com/reference/settings#clilog_format.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

_METRIC = "METRIC: "
_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Timeout)|ERROR|CRITICAL)\b")


@dataclass(frozen=True)
class LogEntry:
    """One line of Meltano's log.

    Attributes:
        level: As in the logging module.
        source: The plugin that wrote it, or `None` for Meltano itself.
        message: Its text.
        metric: What it measured, as Singer's SDK and singer-python say it, or nothing.
    """

    level: int
    source: str | None
    message: str
    metric: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The line as a person reads it."""
        return f"{self.source}: {self.message}" if self.source else self.message


def read_log_line(line: str) -> LogEntry:
    """Read one line; what is not JSON (a crash before logging is set up) is kept as it is."""
    line = line.rstrip("\n")
    try:
        fields: Any = json.loads(line)
    except (RecursionError, ValueError):
        fields = None
    if not isinstance(fields, dict) or "event" not in fields:
        level = logging.ERROR if _ERROR.match(line) else logging.INFO
        return LogEntry(level, None, line)
    level = logging.getLevelNamesMapping().get(str(fields.get("level", "")).upper(), logging.INFO)
    source = str(fields.get("name")) if "stdio" in fields else None
    parts = [fields.get("event"), fields.get("err")]
    if "metric_info" in fields:
        parts.append(json.dumps(fields["metric_info"]))
    metric = fields.get("metric_info") or _metric(str(fields.get("event")))
    exceptions = fields.get("exception")
    parts += map(_exception_text, exceptions if isinstance(exceptions, list) else [exceptions])
    text = ": ".join(dict.fromkeys(str(part) for part in parts if part))
    return LogEntry(level, source, text, metric if isinstance(metric, dict) else {})


def _metric(message: str) -> Any:
    """Return what a line of the older form measured: `INFO METRIC: {...}`."""
    _, found, text = message.partition(_METRIC)
    try:
        return json.loads(text) if found else None
    except ValueError:
        return None


def _exception_text(exception: Any) -> str:
    if not isinstance(exception, dict):
        return str(exception or "")
    value = exception.get("exc_value")
    return f"{exception.get('exc_type')}: {value}" if value else str(exception.get("exc_type"))


@dataclass
class LastError:
    """Finds the line of a failed run that says why it failed.

    The last error of a plugin comes before Meltano's, which reports only that a block failed. A
    broken pipe is the echo of another plugin's death.
    """

    _plugin: str | None = None
    _meltano: str | None = None

    def note(self, entry: LogEntry) -> None:
        """Take one more line into account."""
        if entry.source is None:
            if entry.level >= logging.ERROR and entry.message:
                self._meltano = entry.message
        elif entry.message.startswith("BrokenPipeError"):
            return
        elif entry.level >= logging.ERROR or _ERROR.match(entry.message):
            self._plugin = entry.text

    @property
    def text(self) -> str | None:
        """The reason, or `None` where the log holds no error."""
        return self._plugin or self._meltano


class RowCounts:
    """Counts the rows of each stream, as the extractors say they sent them.

    Where no extractor counts, as with batches of files, the loader's figures count.

    Args:
        extractors: The names of the extractors.

    Attributes:
        heard: Whether the log is as fine as to hold counts at all.
    """

    def __init__(self, extractors: Collection[str]) -> None:
        self._extractors = extractors
        self._sent: Counter[str] = Counter()
        self._loaded: Counter[str] = Counter()
        self.heard = False

    def note(self, entry: LogEntry) -> None:
        """Take one more line into account."""
        self.heard = self.heard or entry.level <= logging.INFO
        value, tags = entry.metric.get("value"), entry.metric.get("tags")
        if entry.metric.get("metric") != "record_count" or not isinstance(value, int):
            return
        stream = tags.get("stream") or tags.get("endpoint") if isinstance(tags, dict) else None
        counts = self._sent if entry.source in self._extractors else self._loaded
        counts[str(stream)] += value

    @property
    def rows(self) -> dict[str, int] | None:
        """The rows of each stream, or `None` where nobody counts."""
        found = self._sent or self._loaded
        return dict(sorted(found.items())) if found else None
