"""Durations, dates and time zones: how they are read, and how a duration is written."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dag_factory.errors import InvalidValueError, guess
from dag_factory.options.values import alternatives, text, wrong_value

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ISO_8601 = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_OFFSET = re.compile(r"[+-]\d")
# Airflow adds durations to dates, which end with the year 9999.
_LONGEST = timedelta(days=3650)


def duration(value: Any) -> timedelta:
    """Read a duration: `90s`, `6m`, `2h`, `1d`, or ISO 8601 such as `PT1H30M`.

    Raises:
        InvalidValueError: It is not a duration, or it is zero or too long.
    """
    written = str(value)
    try:
        found = _parsed(written)
    except (OverflowError, ValueError):
        found = timedelta.max
    if not found:
        number = re.match(r"[1-9]\d*", written)
        hint = f"write {alternatives([number[0] + unit for unit in _UNITS])}" if number else ""
        raise wrong_value("a duration such as 90s, 6m, 2h, 1d or PT1H30M", value, hint)
    if found > _LONGEST:
        raise InvalidValueError(f"must be at most {written_duration(_LONGEST)}")
    return found


def _parsed(written: str) -> timedelta:
    """Return a duration; zero if the text is not one."""
    if match := re.fullmatch(r"(\d+)([smhd])", written):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    if match := _ISO_8601.fullmatch(written):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return timedelta()


def written_duration(value: timedelta) -> str:
    """Return a duration as an option is written: a number and the largest unit that divides it."""
    seconds = round(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(value: Any) -> datetime:
    """Read a date, or a date and time; without an offset it is in the time zone of the DAG."""
    if isinstance(value, date):
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    try:
        return datetime.fromisoformat(text(value))
    except ValueError:
        raise wrong_value("a date such as 2026-01-31 or 2026-01-31T06:00", value) from None


def timezone(value: Any) -> str:
    """Read a time zone of the IANA database."""
    try:
        return ZoneInfo(text(value)).key
    except (KeyError, ValueError, OSError):
        is_offset = _OFFSET.search(str(value))
        hint = (
            "write a place, not an offset" if is_offset else guess(value, available_timezones(), "")
        )
        raise wrong_value("a time zone such as Europe/Prague", value, hint) from None
