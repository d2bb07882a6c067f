"""The scalars and tags of YAML 1.2, as the resolver and constructors of ruamel.yaml read them.

The events come from PyYAML's parsers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import yaml

from dag_factory.errors import InvalidValueError

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_STRING = _TAG + "str"
# One object for every NaN, so that a mapping holds the key once, as in ruamel.yaml.
_NAN = float("nan")
# Far below the length at which Python refuses to print an integer.
_MAX_DIGITS = 1000
_DIGITS = "0123456789"
_BOOLEANS = {
    "true": True,
    "yes": True,
    "y": True,
    "on": True,
    "false": False,
    "no": False,
    "n": False,
    "off": False,
}
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9][0-9]?)-([0-9][0-9]?)"
    r"(?:(?:[Tt]|[ \t]+)([0-9][0-9]?):([0-9][0-9]):([0-9][0-9])(?:\.([0-9]*))?"
    r"(?:[ \t]*(?:Z|([-+])([0-9][0-9]?)(?::([0-9][0-9]))?))?)?$"
)
_RESOLVERS: dict[str, list[tuple[str, Callable[[str], Any]]]] = {}


def _add_resolver(kind: str, first_characters: str, pattern: str) -> None:
    matches = re.compile(f"(?:{pattern})$").match
    for first in first_characters or [""]:
        _RESOLVERS.setdefault(first, []).append((_TAG + kind, matches))


_add_resolver("bool", "tTfF", "true|True|TRUE|false|False|FALSE")
_add_resolver(
    "float",
    "-+." + _DIGITS,
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
)
_add_resolver(
    "int", "-+" + _DIGITS, r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+"
)
_add_resolver("merge", "<", "<<")
_add_resolver("null", "~nN", "~|null|Null|NULL")
_add_resolver("null", "", "")
_add_resolver(
    "timestamp",
    _DIGITS,
    r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]"
    r"|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9][0-9]:[0-9][0-9]"
    r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?",
)


def value(event: yaml.ScalarEvent) -> Any:
    """Return the value of a scalar.

    Raises:
        InvalidValueError: The text is not valid for its tag.
    """
    tag = _tag(event)
    if tag == _STRING:
        return event.value
    if not fits(tag, "scalar"):
        name = tag.replace(_TAG, "!!")
        raise InvalidValueError(f"is one value, and cannot have the tag {name}", "remove the tag")
    try:
        return _READERS.get(tag, str)(event.value)
    except (LookupError, OverflowError, ValueError) as error:
        hint = "correct it, or remove the tag" if event.tag else "quote it to make it a string"
        raise InvalidValueError(f"is not a valid {tag.removeprefix(_TAG)}", hint) from error


def is_merge(event: yaml.Event) -> bool:
    """Return whether a key is the merge key, `<<` without quotes."""
    return isinstance(event, yaml.ScalarEvent) and _tag(event) == _MERGE


def fits(tag: str | None, kind: str) -> bool:
    """Return whether a tag fits a `scalar`, a `seq` or a `map`. An unknown tag fits each."""
    if tag in _READERS:
        return kind == "scalar"
    return tag not in _COLLECTIONS or tag == _TAG + kind


def _tag(event: yaml.ScalarEvent) -> str:
    if event.tag == "!" or (event.tag is None and event.implicit[0]):
        for tag, matches in _RESOLVERS.get(event.value[:1], ()):
            if matches(event.value):
                return tag
    return event.tag or _STRING


def _signed(text: str) -> tuple[int, str]:
    sign = -1 if text[0] == "-" else 1
    return sign, text[1:] if text[0] in "+-" else text


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise OverflowError
    sign, digits = _signed(text.replace("_", ""))
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2])
    return sign * (int(digits[2:], base) if base else int(digits))


def _float(text: str) -> float:
    sign, digits = _signed(text.replace("_", "").lower())
    if digits == ".nan":
        return _NAN
    return sign * float("inf" if digits == ".inf" else digits)


def _timestamp(text: str) -> date:
    match = _TIMESTAMP.match(text)
    if match is None:
        raise ValueError
    year, month, day, *time = (int(part) for part in match.groups()[:6] if part)
    if not time:
        return date(year, month, day)
    fraction, sign, hours, minutes = match.groups()[6:]
    zone = UTC if text.endswith("Z") else None
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
    microseconds = (int(f"{fraction or '':0<7}"[:7]) + 5) // 10
    moment = datetime(year, month, day, *time, tzinfo=zone)  # type: ignore[misc,arg-type]
    return moment + timedelta(microseconds=microseconds)


def _binary(text: str) -> bytes:
    return base64.decodebytes(text.encode("ascii"))


_READERS: dict[str, Callable[[str], Any]] = {
    _TAG + "binary": _binary,
    _TAG + "bool": lambda text: _BOOLEANS[text.lower()],
    _TAG + "float": _float,
    _TAG + "int": _integer,
    _TAG + "null": lambda _: None,
    _TAG + "timestamp": _timestamp,
}
_COLLECTIONS = {_TAG + kind for kind in ("map", "omap", "pairs", "seq", "set")}
