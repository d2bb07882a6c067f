"""How the values of options are read; an `InvalidValueError` says what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeVar

from dag_factory.errors import InvalidValueError, guess, shown
from dag_factory.meltano_yaml.reader import as_json_value

_ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_LINK = re.compile(r"(?:https?://|mailto:)\S+")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_RESERVED_VARIABLE = re.compile(r"(?:MELTANO|AIRFLOW|PYTHON|LD)_?.*|PATH|HOME|SHELL|TMPDIR")
# Airflow's database keeps whole numbers, in four bytes or eight.
_LARGEST = 2**31 - 1
_LARGEST_IN_JSON = 2**63 - 1
_LONGEST_LINE = 250
_LONGEST_LINK = 500
_LONGEST_QUOTE = 30
_SECRET_NAME = re.compile(r"[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NOTIFIER_KEYS = ("class", "kwargs", "events")
_ITEM = "has an item that"
_Read = TypeVar("_Read")

SECRET_MODES = ("aws", "k8s")
"""Where a pod gets its secrets from: AWS Secrets Manager, or Secrets of Kubernetes."""
EVENTS = ("failure", "retry", "deadline")
"""The events to notify of: the last attempt failed, a retry follows, a run is late."""
WEIGHT_RULES = ("downstream", "upstream", "absolute")
"""Airflow's weight rules: https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/priority-weight.html"""
ORDERS = ("sequential", "parallel")
"""How the tasks of a job follow each other."""
RUNNERS = ("local", "kubernetes")
"""Where a task runs."""
PARAM_KEYS = (
    *("type", "title", "description", "description_md", "default", "enum", "examples"),
    *("values_display", "format", "pattern", "minLength", "maxLength", "section", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)
"""The keys of a job's own field of the trigger form: JSON Schema, and what Airflow adds to it."""
PARAM_TYPES = ("string", "integer", "number", "boolean")
"""The types of a job's own field of the trigger form: each becomes an environment variable."""


@dataclass(frozen=True)
class After:
    """The jobs after which a job runs.

    Attributes:
        jobs: Their names.
        any: Whether one of them is enough; otherwise all must be done.
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
        class_path: The import path of its class.
        kwargs: The arguments of its class.
        events: The `EVENTS` it is called for.
    """

    class_path: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[str, ...] = ("failure", "deadline")

    def __str__(self) -> str:
        return self.class_path


@dataclass(frozen=True)
class Secrets:
    """The secrets that a task reads besides those of its plugins, and how a pod gets secrets.

    Attributes:
        names: The names below the environment's: of another plugin, or of a secret whose keys are
            environment variables.
        mode: One of `SECRET_MODES`; `None` where no mode is set, which means `aws`.
    """

    names: tuple[str, ...] = ()
    mode: str | None = None

    def __str__(self) -> str:
        return ", ".join([*self.names, *([f"mode: {self.mode}"] if self.mode else [])]) or "none"

    def under(self, later: Secrets) -> Secrets:
        """Return these secrets with a later place's names added; its mode overrides this one."""
        names = tuple(dict.fromkeys((*self.names, *later.names)))
        return Secrets(names, later.mode or self.mode)


def wrong_value(form: str, value: Any, hint: str = "") -> InvalidValueError:
    """Return the error of a value that is not of a form; it quotes a short, single value."""
    quotes = not isinstance(value, dict | list) and len(str(value)) <= _LONGEST_QUOTE
    return InvalidValueError(f"must be {form}" + (f", not {shown(value)}" if quotes else ""), hint)


def text(value: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise wrong_value("a string", value)
    if _CONTROL.search(value):
        raise InvalidValueError("has a control character, which databases reject")
    return value


def line(value: Any) -> str:
    """Read a text of one line that Airflow's database can store."""
    found = text(value)
    if len(found) > _LONGEST_LINE or not found.isprintable():
        raise InvalidValueError(f"must be one line of up to {_LONGEST_LINE} characters")
    return found


def read_part(where: str, read: Callable[[Any], _Read], part: Any) -> _Read:
    """Read a part of a value.

    Args:
        where: The beginning of an error's reason, such as `has an item that`.
        read: The reader of the part.
        part: The part.

    Raises:
        InvalidValueError: The part cannot be used.
    """
    try:
        return read(part)
    except InvalidValueError as error:
        raise InvalidValueError(f"{where} {error.reason}", error.hint) from None


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of strings, without repetitions."""
    if not isinstance(value, list):
        hint = f"write [{value}]" if isinstance(value, str) else ""
        raise wrong_value("a list of strings", value, hint)
    return tuple(dict.fromkeys(read_part(_ITEM, line, each) for each in value))


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise wrong_value("true or false", value, "write true or false")
    return value


def whole(least: int) -> Callable[[Any], int]:
    """Return a reader of whole numbers that a database can store."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
            is_quoted = isinstance(value, str) and value.isdecimal()
            hint = f"write {value} without quotes" if is_quoted else ""
            raise wrong_value(f"a whole number of at least {least}", value, hint)
        return value

    return read


def backoff(value: Any) -> float:
    """Read the factor by which each wait is longer than the last; `true` is 2, as in Airflow."""
    if isinstance(value, bool):
        return 2.0 if value else 0.0
    if not isinstance(value, int | float) or not (value == 0 or 1 <= value <= _LARGEST):
        raise wrong_value("true, false or a number of at least 1", value)
    return float(value)


def one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value not in words:
            raise wrong_value(alternatives(words), value, guess(value, words, ""))
        return str(value)

    return read


def alternatives(words: Sequence[str]) -> str:
    """Return words as a choice: `a, b or c`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def events(value: Any) -> tuple[str, ...]:
    """Read a list of `EVENTS`."""
    return tuple(read_part(_ITEM, one_of(EVENTS), each) for each in texts(value))


def addresses(value: Any) -> tuple[str, ...]:
    """Read one e-mail address, or a list of them."""
    if isinstance(value, str):
        return (_address(value),)
    return tuple(read_part(_ITEM, _address, each) for each in texts(value))


def _address(value: Any) -> str:
    if not _ADDRESS.fullmatch(line(value)):
        raise wrong_value("an e-mail address", value)
    return str(value)


def links(value: Any) -> Mapping[str, str]:
    """Read a link for each owner."""
    found = mapping(value)
    for name, each in found.items():
        if not isinstance(each, str) or not _LINK.fullmatch(each) or len(each) > _LONGEST_LINK:
            form = f"an http, https or mailto link of up to {_LONGEST_LINK} characters"
            raise InvalidValueError(f"has a value for {name} that must be {form}")
    return found


def mapping(value: Any) -> dict[str, Any]:
    """Read a mapping of texts to values that JSON can hold; dates become texts."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise wrong_value("a mapping of names to values", value)
    found = dict(as_json_value(value))
    _check_storable(found, _LARGEST_IN_JSON)
    return found


def arguments(value: Any) -> dict[str, Any]:
    """Read arguments for Airflow, whose database keeps their numbers in four bytes."""
    found = mapping(value)
    _check_storable(found, _LARGEST)
    return found


def _check_storable(value: Any, largest: int) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            read_part("has a name that", text, key)
            _check_storable(each, largest)
    elif isinstance(value, list):
        for each in value:
            _check_storable(each, largest)
    elif isinstance(value, str) and value:
        read_part("has a value that", text, value)
    elif isinstance(value, float) and not isfinite(value):
        raise InvalidValueError(f"has {value}, which is not a number in JSON")
    elif isinstance(value, int) and abs(value) > largest:
        raise InvalidValueError(f"has a number above {largest}")


def after(value: Any) -> After:
    """Read the names of jobs: one, a list (all of them), `{all: [...]}` or `{any: [...]}`."""
    if isinstance(value, dict):
        if len(value) != 1 or not set(value) <= {"all", "any"}:
            raise wrong_value("{all: [...]} or {any: [...]}", value)
        [(how, names)] = value.items()
    else:
        how, names = "all", [value] if isinstance(value, str) else value
    found = texts(names)
    if not found:
        raise InvalidValueError("must name a job")
    return After(found, any=how == "any" and len(found) > 1)


def secrets(value: Any) -> Secrets:
    """Read names of secrets: `[NAME, ...]`, or `{mode: k8s, names: [NAME, ...]}`."""
    written = {"names": value} if isinstance(value, list) else value
    if not isinstance(written, dict) or not written or not set(written) <= {"names", "mode"}:
        raise wrong_value("[NAME, ...] or {mode: ..., names: [NAME, ...]}", value)
    names = texts(written.get("names", []))
    for each in names:
        if not is_secret_name(each):
            wrong = wrong_value("the name of a secret such as shared/proxy", each)
            raise InvalidValueError(f"{_ITEM} {wrong.reason}")
    if "mode" not in written:
        return Secrets(names)
    return Secrets(names, read_part("has a mode that", one_of(SECRET_MODES), written["mode"]))


def is_secret_name(text: str) -> bool:
    """Return whether a text can be the name of a secret, or a part of one."""
    return _SECRET_NAME.fullmatch(text) is not None


def notifiers(value: Any) -> tuple[Notifier, ...]:
    """Read a list of `{class: ..., kwargs: {...}, events: [...]}`."""
    if not isinstance(value, list):
        raise wrong_value("a list of {class: ..., kwargs: {...}}", value)
    return tuple(map(_notifier, value))


def _notifier(value: Any) -> Notifier:
    if not isinstance(value, dict) or "class" not in value:
        raise InvalidValueError("has an item without `class`")
    for key in value:
        if key not in _NOTIFIER_KEYS:
            hint = guess(key, _NOTIFIER_KEYS, f"the keys are {', '.join(_NOTIFIER_KEYS)}")
            raise InvalidValueError(f"has an item with the key {shown(key)}", hint)
    if not isinstance(value["class"], str) or not _IMPORT_PATH.fullmatch(value["class"]):
        wrong = wrong_value("an import path such as package.module.Notifier", value["class"])
        raise InvalidValueError(f"has a `class` that {wrong.reason}")
    notify_of = read_part("has `events`, which", events, value.get("events", [*Notifier.events]))
    kwargs = read_part("has `kwargs`, which", mapping, value.get("kwargs", {}))
    return Notifier(value["class"], kwargs, notify_of)


def params(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Read a job's own fields of the trigger form: an environment variable and its JSON Schema."""
    found = mapping(value)
    for name, schema in found.items():
        if not _VARIABLE.fullmatch(name):
            reason = f"has {name!r}, which must be the name of a variable such as SHOP_REGION"
            raise InvalidValueError(reason)
        if _RESERVED_VARIABLE.fullmatch(name):
            raise InvalidValueError(f"has {name!r}, a variable that does not belong to the job")
        if not isinstance(schema, dict) or schema.get("type") not in PARAM_TYPES:
            types = ", ".join(PARAM_TYPES)
            raise InvalidValueError(f"needs a `type` for {name}", f"the types are {types}")
        for key in schema:
            if key not in PARAM_KEYS:
                hint = guess(key, PARAM_KEYS, f"the keys are {', '.join(PARAM_KEYS)}")
                raise InvalidValueError(f"has {key!r} for {name}, which is not a key of it", hint)
    return found
