"""How the value of each option is read; what is wrong with one is the text of a ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

from dag_factory.meltano_yaml.reader import as_json_value
from dag_factory.options.expectations import Bounds, Expectation

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ISO_8601 = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_LINK = re.compile(r"(?:https?://|mailto:)\S+")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_OTHERS_VARIABLES = re.compile(r"(?:MELTANO|AIRFLOW|PYTHON|LD)_?.*|PATH|HOME|SHELL|TMPDIR")
# Airflow adds durations to dates, and its database keeps whole numbers, in four bytes or eight.
_LONGEST = timedelta(days=3650)
_LARGEST = 2**31 - 1
_LARGEST_OF_ALL = 2**63 - 1
_LONGEST_LINE = 250
_LONGEST_LINK = 500
_AGE = "max_age"
_ROWS = ("min", "max")
_EXPECTED = {"rows", _AGE, "streams"}
_SECRET_NAME = re.compile(r"[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

SECRET_MODES = ("aws", "k8s")
"""From where pods have their secrets: AWS Secrets Manager, or Secrets of Kubernetes."""
EVENTS = ("failure", "retry", "deadline")
"""What somebody can hear of: the last try failed, another one follows, a run is late."""
WEIGHT_RULES = ("downstream", "upstream", "absolute")
"""Airflow's weight rules: https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/priority-weight.html"""
ORDERS = ("sequential", "parallel")
"""How the tasks of a job follow each other."""
RUNNERS = ("local", "kubernetes")
"""How a task is executed."""
PARAM_KEYS = (
    *("type", "title", "description", "description_md", "default", "enum", "examples"),
    *("values_display", "format", "pattern", "minLength", "maxLength", "section", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)
"""What may be said of such a field, in the words of JSON Schema and of Airflow's form."""
PARAM_TYPES = ("string", "integer", "number", "boolean")
"""What a job's own field of the trigger form may hold: each becomes a variable."""


@dataclass(frozen=True)
class After:
    """The jobs that a job runs after.

    Attributes:
        jobs: Their names.
        any: Whether one of them is enough; else all must be done.
    """

    jobs: tuple[str, ...]
    any: bool = False

    def __str__(self) -> str:
        return (" or " if self.any else " and ").join(self.jobs)


@dataclass(frozen=True)
class Notifier:
    """An Airflow notifier.

    Source: https://airflow.apache.org/docs/apache-airflow/stable/howto/notifications.html

    Attributes:
        class_path: Where it is imported from.
        kwargs: What it is made with.
        events: Of what it hears.
    """

    class_path: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[str, ...] = ("failure", "deadline")

    def __str__(self) -> str:
        return self.class_path


@dataclass(frozen=True)
class Secrets:
    """Which secrets a task reads beside those of its plugins, and how a pod has them.

    Attributes:
        names: Below those of the environment: of other plugins, or of variables for any.
        mode: One of `SECRET_MODES`; `None` where it is not said, which means `aws`.
    """

    names: tuple[str, ...] = ()
    mode: str | None = None

    def __str__(self) -> str:
        return ", ".join([*self.names, *([f"mode: {self.mode}"] if self.mode else [])]) or "none"

    def under(self, later: Secrets) -> Secrets:
        """Return what holds where another place adds names, or says another mode."""
        names = tuple(dict.fromkeys((*self.names, *later.names)))
        return Secrets(names, later.mode or self.mode)


def text(value: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("is no text")
    if _CONTROL.search(value):
        raise ValueError("holds a control character, which no database takes")
    return value


def line(value: Any) -> str:
    """Read a text of one line, as long as Airflow's database takes it."""
    found = text(value)
    if len(found) > _LONGEST_LINE or not found.isprintable():
        raise ValueError(f"is no line of up to {_LONGEST_LINE} characters")
    return found


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts; what stands twice counts once."""
    if not isinstance(value, list):
        raise ValueError("is no list of texts")  # noqa: TRY004 - one kind of error for one caller
    for item in value:
        try:
            line(item)
        except ValueError as error:
            raise ValueError(f"has {item!r}, which {error}") from None
    return tuple(dict.fromkeys(value))


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")  # noqa: TRY004
    return value


def whole(least: int) -> Callable[[Any], int]:
    """Return a reader of whole numbers that a database takes."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
            raise ValueError(f"is no whole number from {least}")
        return value

    return read


def backoff(value: Any) -> float:
    """Read by how much each wait is longer than the last; `true` doubles it, as in Airflow."""
    if isinstance(value, bool):
        return 2.0 if value else 0.0
    if not isinstance(value, int | float) or not (value == 0 or 1 <= value <= _LARGEST):
        raise ValueError("is neither true, false nor a number from 1")
    return float(value)


def one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return str(value)

    return read


def events(value: Any) -> tuple[str, ...]:
    """Read a list of `EVENTS`."""
    found = texts(value)
    unknown = [each for each in found if each not in EVENTS]
    if unknown:
        raise ValueError(f"has {unknown[0]!r}, which is none of {', '.join(EVENTS)}")
    return found


def timezone(value: Any) -> str:
    """Read a time zone of the IANA database."""
    try:
        return ZoneInfo(text(value)).key
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone such as Europe/Prague") from None


def duration(value: Any) -> timedelta:
    """Read a duration: `90s`, `6m`, `2h`, `1d`, or ISO 8601 such as `PT1H30M`.

    Raises:
        ValueError: It is neither, or it is zero.
    """
    written = str(value)
    if match := re.fullmatch(r"(\d+)([smhd])", written):
        found = timedelta(**{_UNITS[match[2]]: int(match[1])})
    elif match := _ISO_8601.fullmatch(written):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        found = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    else:
        found = timedelta()
    if not found:
        raise ValueError("is no duration such as 90s, 6m, 2h, 1d or PT1H30M")
    if found > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST.days}d")
    return found


def written_duration(value: timedelta) -> str:
    """Return a duration as it is written: in the largest unit that serves."""
    seconds = round(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(value: Any) -> datetime:
    """Read a date or a moment; one without an offset is in the time zone of the DAG."""
    if isinstance(value, date):
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    try:
        return datetime.fromisoformat(text(value))
    except ValueError:
        raise ValueError("is no date such as 2026-01-31 or 2026-01-31T06:00") from None


def addresses(value: Any) -> tuple[str, ...]:
    """Read one e-mail address, or a list of them."""
    found = texts([value] if isinstance(value, str) else value)
    wrong = [each for each in found if not _ADDRESS.fullmatch(each)]
    if wrong:
        raise ValueError(f"has {wrong[0]!r}, which is no e-mail address")
    return found


def links(value: Any) -> Mapping[str, str]:
    """Read a link for each owner."""
    found = mapping(value)
    for each in found.values():
        if not isinstance(each, str) or not _LINK.fullmatch(each) or len(each) > _LONGEST_LINK:
            raise ValueError("has a value that is neither an http(s) nor a mailto link")
    return found


def mapping(value: Any) -> dict[str, Any]:
    """Read a mapping with texts as keys and what JSON can hold as values; dates become texts."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("is no mapping of names to values")
    found = dict(as_json_value(value))
    _check_storable(found, _LARGEST_OF_ALL)
    return found


def arguments(value: Any) -> dict[str, Any]:
    """Read arguments of Airflow's; its database keeps their numbers in four bytes."""
    found = mapping(value)
    _check_storable(found, _LARGEST)
    return found


def _check_storable(value: Any, largest: int) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            text(key)
            _check_storable(each, largest)
    elif isinstance(value, list):
        for each in value:
            _check_storable(each, largest)
    elif isinstance(value, str) and value:
        text(value)
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError(f"has {value}, which is no number to JSON")
    elif isinstance(value, int) and abs(value) > largest:
        raise ValueError(f"has {value}, which is too large a number")


def after(value: Any) -> After:
    """Read the names of jobs: one, a list (all of them), `{all: [...]}` or `{any: [...]}`."""
    if isinstance(value, dict):
        if len(value) != 1 or not set(value) <= {"all", "any"}:
            raise ValueError("is neither {all: [...]} nor {any: [...]}")
        [(how, names)] = value.items()
    else:
        how, names = "all", [value] if isinstance(value, str) else value
    found = texts(names)
    if not found:
        raise ValueError("names no job")
    return After(found, any=how == "any" and len(found) > 1)


def secrets(value: Any) -> Secrets:
    """Read names of secrets: `[NAME, ...]`, or `{mode: k8s, names: [NAME, ...]}`."""
    if isinstance(value, list):
        value = {"names": value}
    if not isinstance(value, dict) or not value or not set(value) <= {"names", "mode"}:
        raise ValueError("is neither [NAME, ...] nor {mode: ..., names: [NAME, ...]}")
    names = texts(value.get("names", []))
    if wrong := [each for each in names if not is_secret_name(each)]:
        raise ValueError(f"has {wrong[0]!r}, which is no name of a secret such as shared/proxy")
    if "mode" in value and value["mode"] not in SECRET_MODES:
        raise ValueError(f"has a mode that is none of {', '.join(SECRET_MODES)}")
    return Secrets(names, value.get("mode"))


def is_secret_name(text: str) -> bool:
    """Return whether a text can be the name of a secret, or a part of one."""
    return _SECRET_NAME.fullmatch(text) is not None


def notifiers(value: Any) -> tuple[Notifier, ...]:
    """Read a list of `{class: ..., kwargs: {...}, events: [...]}`."""
    if not isinstance(value, list):
        raise ValueError("is no list of {class: ..., kwargs: {...}}")  # noqa: TRY004
    return tuple(map(_notifier, value))


def _notifier(value: Any) -> Notifier:
    if not isinstance(value, dict) or "class" not in value:
        raise ValueError("has an item without class")
    if unknown := set(value) - {"class", "kwargs", "events"}:
        raise ValueError(f"has {min(unknown)!r}, which is none of class, kwargs, events")
    if not isinstance(value["class"], str) or not _IMPORT_PATH.fullmatch(value["class"]):
        raise ValueError("has a class that is no path such as package.module.Notifier")
    hears = events(value["events"]) if "events" in value else Notifier.events
    return Notifier(value["class"], mapping(value.get("kwargs", {})), hears)


def expect(value: Any) -> Expectation:
    """Read what a run is to load: `{rows: {min: 1}, max_age: 26h, streams: {NAME: {min: 1}}}`."""
    if not isinstance(value, dict) or not value or not set(value) <= _EXPECTED:
        raise ValueError(
            "is not {rows: {min: ..., max: ...}, max_age: 26h, streams: {NAME: {...}}}"
        )
    rows = _bounds("rows", value["rows"], _ROWS) if "rows" in value else Bounds()
    streams = {
        name: _bounds(f"streams: {name}", bounds, (*_ROWS, _AGE))
        for name, bounds in mapping(value.get("streams", {})).items()
    }
    max_age = _age("the run", value[_AGE]) if _AGE in value else None
    return Expectation(replace(rows, max_age=max_age), streams)


def _bounds(where: str, value: Any, keys: tuple[str, ...]) -> Bounds:
    if not isinstance(value, dict) or not value or not set(value) <= {*keys}:
        form = ", ".join(f"{key}: ..." for key in keys)
        raise ValueError(f"has `{where}`, which is not {{{form}}}")
    try:
        numbers = {key: whole(0)(number) for key, number in value.items() if key in _ROWS}
    except ValueError as error:
        raise ValueError(f"has `{where}` with a number that {error}") from None
    found = Bounds(**numbers, max_age=_age(where, value[_AGE]) if _AGE in value else None)
    if found.max is not None and found.max < found.min:
        raise ValueError(f"has `{where}` with a max below its min")
    return found


def _age(where: str, value: Any) -> timedelta:
    try:
        return duration(value)
    except ValueError as error:
        raise ValueError(f"has `max_age` of {where}, which {error}") from None


def params(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Read a job's own fields of the trigger form: a variable's name and its JSON Schema."""
    found = mapping(value)
    for name, schema in found.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"has {name!r}, which is no name of a variable such as SHOP_REGION")
        if _OTHERS_VARIABLES.fullmatch(name):
            raise ValueError(f"has {name!r}, a variable that is not the job's own")
        if not isinstance(schema, dict) or schema.get("type") not in PARAM_TYPES:
            raise ValueError(f"needs a `type` for {name}: one of {', '.join(PARAM_TYPES)}")
        if unknown := sorted(set(schema) - set(PARAM_KEYS)):
            known = ", ".join(PARAM_KEYS)
            raise ValueError(f"has {unknown[0]!r} for {name}, which is none of {known}")
    return found
