"""Conversion of texts and spreadsheet cells to values of their column's type."""

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
"""The JSON Schema of each type."""

TYPE_PATTERN = r"^(string|integer|number|boolean|strings|date|datetime|(date|datetime) \S.*)$"
"""A type; date and datetime may be followed by a format, as in `date %d.%m.%Y`."""

Converter = Callable[[Any], Any]

_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n"), False),
}
_NUMBER_WITH_POINT = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([+-]?)")
_NUMBER_WITH_COMMA = re.compile(r"([+-]?)(\d{1,3}(?:\.\d{3})+(?:,\d*)?|\d+,?\d*|,\d+)([+-]?)")


def converter(kind: str, *, decimal: str = ".", decimals: int = 0) -> Converter:
    """Return the function that converts the values of a column.

    Args:
        kind: A type as in the settings.
        decimal: The decimal separator of numbers, "." or ",".
        decimals: The number of last digits that are decimals, if numbers have no separator.

    Returns:
        A function that raises ValueError with the problem. The text never contains the value,
        which may be confidential.
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
    pattern = _NUMBER_WITH_COMMA if decimal == "," else _NUMBER_WITH_POINT
    found = pattern.fullmatch(str(value).strip())
    if not found or (found[1] and found[3]):
        raise ValueError("is not a number")
    digits = found[2]
    if decimal == ",":
        digits = digits.replace(".", "").replace(",", ".")
    return Decimal(f"{found[1]}{found[3]}{digits}")


def _integer(value: Decimal) -> int:
    if value != value.to_integral_value():
        raise ValueError("is not a whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _BOOLEANS:
        raise ValueError("is neither true nor false")
    return _BOOLEANS[text]


def _date(value: Any, pattern: str) -> str:
    found = _parse(value, pattern)
    if found is None:
        raise ValueError(f"is not a date like {pattern or '2026-01-31'}")
    return found.date().isoformat()


def _datetime(value: Any, pattern: str) -> str:
    found = _parse(value, pattern)
    if found is None:
        raise ValueError(f"is not a time like {pattern or '2026-01-31T12:00:00Z'}")
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _parse(value: Any, pattern: str) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = str(value).strip()
    try:
        if pattern:
            return datetime.strptime(text, pattern)  # noqa: DTZ007 - not every file has a time zone
        return datetime.fromisoformat(text)
    except ValueError:
        return None
