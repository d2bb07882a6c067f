"""Reads the JSON log of a run of Meltano: its lines, its last error, its row counts.

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

_METRIC_PREFIX = "METRIC: "
_ERROR_LINE = re.compile(r"(?:[\w.]*(?:Error|Exception|Timeout)|ERROR|CRITICAL)\b")


@dataclass(frozen=True)
class LogEntry:
    """One line of Meltano's log.

    Attributes:
        level: A level of the logging module.
        source: The plugin that wrote the line, or `None` for Meltano itself.
        message: The text without the source.
        metric: The metric in the line, in the form of the Singer SDK and singer-python; empty if
            there is none.
    """

    level: int
    source: str | None
    message: str
    metric: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text with the source."""
        return f"{self.source}: {self.message}" if self.source else self.message


def read_log_line(line: str) -> LogEntry:
    """Read one line. A line that is not JSON (a crash before logging is set up) stays as it is."""
    line = line.rstrip("\n")
    try:
        fields: Any = json.loads(line)
    except (RecursionError, ValueError):
        fields = None
    if not isinstance(fields, dict) or "event" not in fields:
        level = logging.ERROR if _ERROR_LINE.match(line) else logging.INFO
        return LogEntry(level, None, line)
    level = logging.getLevelNamesMapping().get(str(fields.get("level", "")).upper(), logging.INFO)
    source = str(fields.get("name")) if "stdio" in fields else None
    parts = [fields.get("event"), fields.get("err")]
    if "metric_info" in fields:
        parts.append(json.dumps(fields["metric_info"]))
    metric = fields.get("metric_info") or _read_metric(str(fields.get("event")))
    exceptions = fields.get("exception")
    parts += map(_exception_text, exceptions if isinstance(exceptions, list) else [exceptions])
    text = ": ".join(dict.fromkeys(str(part) for part in parts if part))
    return LogEntry(level, source, text, metric if isinstance(metric, dict) else {})


def _read_metric(message: str) -> Any:
    """Return the metric of a line in the older form `INFO METRIC: {...}`."""
    _, found, text = message.partition(_METRIC_PREFIX)
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
    """Finds the log line that says why a run failed.

    The last error of a plugin is preferred to Meltano's, which says only that a block failed. A
    broken pipe is ignored: it follows from the failure of another plugin.
    """

    _plugin: str | None = None
    _meltano: str | None = None

    def note(self, entry: LogEntry) -> None:
        """Process one more line."""
        if entry.source is None:
            if entry.level >= logging.ERROR and entry.message:
                self._meltano = entry.message
        elif entry.message.startswith("BrokenPipeError"):
            return
        elif entry.level >= logging.ERROR or _ERROR_LINE.match(entry.message):
            self._plugin = entry.text

    @property
    def text(self) -> str | None:
        """The error, or `None` if the log has none."""
        return self._plugin or self._meltano


class RowCounts:
    """Counts the rows of each stream, by the numbers that the extractors log.

    If no extractor logs any, as with batches of files, the loader's numbers are used.

    Args:
        extractors: The names of the extractors.

    Attributes:
        possible: Whether the log level allows counts.
    """

    def __init__(self, extractors: Collection[str]) -> None:
        self._extractors = extractors
        self._sent: Counter[str] = Counter()
        self._loaded: Counter[str] = Counter()
        self.possible = False

    def note(self, entry: LogEntry) -> None:
        """Process one more line."""
        self.possible = self.possible or entry.level <= logging.INFO
        value, tags = entry.metric.get("value"), entry.metric.get("tags")
        if entry.metric.get("metric") != "record_count" or not isinstance(value, int):
            return
        stream = tags.get("stream") or tags.get("endpoint") if isinstance(tags, dict) else None
        counts = self._sent if entry.source in self._extractors else self._loaded
        counts[str(stream)] += value

    @property
    def rows(self) -> dict[str, int] | None:
        """The number of rows of each stream, or `None` if no plugin counts them."""
        found = self._sent or self._loaded
        return dict(sorted(found.items())) if found else None
