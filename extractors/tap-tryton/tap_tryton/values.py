"""Tryton's way of writing in JSON what JSON has no word for, and a row's values by their path."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

ABSENT = object()
"""What `value_at` returns for a field that the answer does not hold at all."""


def loads(text: str) -> Any:
    """Return Tryton's JSON as Python: decimals exact, dates as ISO 8601 text, moments in UTC."""
    return json.loads(text, object_hook=_plain)


def encode(value: Any) -> str:
    """Return a domain, an order or a context as the REST API takes it, in a URL or a header."""
    text = json.dumps(value, default=_moment)
    return base64.urlsafe_b64encode(text.encode()).decode()


def value_at(row: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Return what is at a path such as `("currency", "code")`; null where a link is empty."""
    value: Any = row
    for name in path:
        if value is None:
            return None
        value = value.get(name, ABSENT)
        if value is ABSENT:
            return ABSENT
    return value


def _plain(found: dict[str, Any]) -> Any:
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "date":
            return date(found["year"], found["month"], found["day"]).isoformat()
        case "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            moment = datetime(**{part: found[part] for part in parts}, tzinfo=UTC)
            # Always with a fraction, so that the order of the texts is that of the moments.
            return moment.isoformat(timespec="microseconds")
        case _:
            return found


def _moment(value: datetime) -> dict[str, Any]:
    value = value.astimezone(UTC)
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}
