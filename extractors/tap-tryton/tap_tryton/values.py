"""Tryton's JSON encoding of decimals, dates and times, and a row's values by their path."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

ABSENT = object()
"""Returned by `value_at` for a field that is not in the response."""


def loads(text: str) -> Any:
    """Return Tryton's JSON as Python values: exact decimals, and ISO 8601 texts in UTC."""
    return json.loads(text, object_hook=_decode)


def encode(value: Any) -> str:
    """Return a domain, an order or a context in the REST API's form for URLs and headers."""
    text = json.dumps(value, default=_encode_time)
    return base64.urlsafe_b64encode(text.encode()).decode()


def value_at(row: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at a path such as `("currency", "code")`; None if a link is empty."""
    value: Any = row
    for name in path:
        if value is None:
            return None
        value = value.get(name, ABSENT)
        if value is ABSENT:
            return ABSENT
    return value


def _decode(found: dict[str, Any]) -> Any:
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "date":
            return date(found["year"], found["month"], found["day"]).isoformat()
        case "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            time = datetime(**{part: found[part] for part in parts}, tzinfo=UTC)
            # Always with a fraction, so that texts and times have the same order.
            return time.isoformat(timespec="microseconds")
        case _:
            return found


def _encode_time(value: datetime) -> dict[str, Any]:
    value = value.astimezone(UTC)
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}
