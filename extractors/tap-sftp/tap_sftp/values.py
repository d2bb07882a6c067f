"""What a column's text, or a spreadsheet's cell, means as a value of its type."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from singer_sdk import typing as th

SCHEMAS: dict[str, Any] = {
    "string": th.StringType,
    "integer": th.IntegerType,
    "number": th.NumberType,
    "boolean": th.BooleanType,
    "date": th.DateType,
    "datetime": th.DateTimeType,
    "strings": th.ArrayType(th.StringType),
}
"""The types, and how Singer calls them."""

TYPE_PATTERN = r"^(string|integer|number|boolean|strings|date|datetime|(date|datetime) \S.*)$"
"""A type; of a date or a time its format may follow, as in `date %d.%m.%Y`."""

Converter = Callable[[Any], Any]

_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n"), False),
}
_POINT = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([+-]?)")
_COMMA = re.compile(r"([+-]?)(\d{1,3}(?:\.\d{3})+(?:,\d*)?|\d+,?\d*|,\d+)([+-]?)")


def converter(kind: str, *, decimal: str = ".", decimals: int = 0) -> Converter:
    """Return what makes values of a column.

    Args:
        kind: A type as in the settings.
        decimal: What separates the decimals of numbers, "." or ",".
        decimals: How many of a number's last digits are decimals that no separator marks.

    Returns:
        A function; it raises ValueError with what is wrong, but never with the value, which may
        be nobody's business.
    """
    name, _, pattern = kind.partition(" ")

    def number(value: Any) -> Decimal:
        return _number(value, decimal).scaleb(-decimals)

    converters: dict[str, Converter] = {
        "string": _string,
        "strings": lambda values: values,
        "integer": lambda value: _integer(number(value)),
        "number": number,
        "boolean": _boolean,
        "date": lambda value: _date(value, pattern),
        "datetime": lambda value: _datetime(value, pattern),
    }
    convert = converters[name]

    def convert_unless_empty(value: Any) -> Any:
        if value is None or value == "":
            return None
        return convert(value)

    return convert_unless_empty


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _number(value: Any, decimal: str) -> Decimal:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    shape = _COMMA if decimal == "," else _POINT
    found = shape.fullmatch(str(value).strip())
    if not found or (found[1] and found[3]):
        raise ValueError("holds no number")
    digits = found[2]
    if decimal == ",":
        digits = digits.replace(".", "").replace(",", ".")
    return Decimal(f"{found[1]}{found[3]}{digits}")


def _integer(value: Decimal) -> int:
    if value != value.to_integral_value():
        raise ValueError("holds no whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _BOOLEANS:
        raise ValueError("holds neither true nor false")
    return _BOOLEANS[text]


def _date(value: Any, pattern: str) -> str:
    moment = _moment(value, pattern)
    if moment is None:
        raise ValueError(f"holds no date like {pattern or '2026-01-31'}")
    return moment.date().isoformat()


def _datetime(value: Any, pattern: str) -> str:
    moment = _moment(value, pattern)
    if moment is None:
        raise ValueError(f"holds no time like {pattern or '2026-01-31T12:00:00Z'}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _moment(value: Any, pattern: str) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = str(value).strip()
    try:
        if pattern:
            return datetime.strptime(text, pattern)  # noqa: DTZ007 - not every file tells it
        return datetime.fromisoformat(text)
    except ValueError:
        return None
