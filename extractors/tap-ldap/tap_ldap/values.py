"""Conversion of attributes' values, which are lists of bytes in LDAP, to columns' values."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

_GUID_LENGTH = 16


def first_text(values: list[bytes]) -> str:
    """Return the first value."""
    return values[0].decode(errors="replace")


def texts(values: list[bytes]) -> list[str]:
    """Return all values."""
    return [value.decode(errors="replace") for value in values]


def base64_texts(values: list[bytes]) -> list[str]:
    """Return all values, which are binary, in base64."""
    return [b64encode(value).decode() for value in values]


def integer(values: list[bytes]) -> int | None:
    """Return the first value, or None if it is not an integer."""
    with suppress(ValueError):
        return int(values[0])
    return None


def utc_time(values: list[bytes]) -> str | None:
    """Return a generalized time, or the time in an entryCSN, in UTC; None if it is neither."""
    value = values[0].partition(b"#")[0].decode(errors="replace")
    with suppress(ValueError):
        return datetime.fromisoformat(f"{value[:8]}T{value[8:]}").astimezone(UTC).isoformat()
    return None


def identity(values: list[bytes]) -> str:
    """Return an entryUUID unchanged, or Active Directory's sixteen bytes in the same form."""
    value = values[0]
    return str(UUID(bytes_le=value)) if len(value) == _GUID_LENGTH else value.decode()
