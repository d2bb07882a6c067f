"""The shape of `annotations: {airflow: {...}}`: how Airflow runs a job.

`annotations` is Meltano's own place for other tools' metadata
(https://docs.meltano.com/concepts/project#annotations). Options stand at the top level of
meltano.yml, where they are defaults, on jobs, which override them, and on schedules; `tags` add up.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dag_factory.errors import Code, Location, Problem, shown
from dag_factory.yaml_files import YamlMap

KEY = "airflow"
"""Whose options stand below it in `annotations`."""
_ALIKE = 0.8
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ISO_8601 = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_DURATION = r"^(0*[1-9]\d*[smhd]|P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$"


class Level(StrEnum):
    """Where annotations stand."""

    PROJECT = "the top level"
    ENVIRONMENT = "an environment"
    PLUGIN = "a plugin"
    JOB = "a job"
    SCHEDULE = "a schedule"


@dataclass(frozen=True)
class Options:
    """The effective options of one job.

    Attributes:
        owner: Who answers for the job; Airflow's own default when unset.
        tags: For filtering in the UI.
        description: One line for the DAG list.
        retries: How often Airflow tries a failed task again.
        retry_delay: The wait before that. The default is longer than the five minutes for which
            Meltano holds the lock of a run that was killed.
        execution_timeout: After which a task is stopped; never, when unset.
        paused: Whether a new DAG waits for somebody to switch it on.
        timezone: That of its schedules.
        environments: The Meltano environments that have it; all, when unset.
    """

    owner: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    retries: int = 2
    retry_delay: timedelta = timedelta(minutes=6)
    execution_timeout: timedelta | None = None
    paused: bool = False
    timezone: str = "UTC"
    environments: tuple[str, ...] | None = None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is no text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("is no list of texts")  # noqa: TRY004 - one kind of error for one caller
    return tuple(dict.fromkeys(_text(item) for item in value))


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("is no whole number from 0")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")  # noqa: TRY004
    return value


def _timezone(value: Any) -> str:
    try:
        return ZoneInfo(_text(value)).key
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone such as Europe/Prague") from None


def parse_duration(value: Any) -> timedelta:
    """Read a duration: `90s`, `6m`, `2h`, `1d`, or ISO 8601 such as `PT1H30M`.

    Raises:
        ValueError: It is neither, or it is zero.
    """
    text = str(value)
    if match := re.fullmatch(r"(\d+)([smhd])", text):
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    elif match := _ISO_8601.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    else:
        duration = timedelta()
    if not duration:
        raise ValueError("is no duration such as 90s, 6m, 2h, 1d or PT1H30M")
    return duration


@dataclass(frozen=True)
class _Option:
    """One option: how it is read, where it may stand, and its JSON Schema."""

    read: Callable[[Any], Any]
    levels: tuple[Level, ...]
    schema: Mapping[str, Any]


_DEFAULTED = (Level.PROJECT, Level.JOB)
_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}
_OPTIONS: Mapping[str, _Option] = {
    "owner": _Option(_text, _DEFAULTED, {"type": "string", "minLength": 1}),
    "tags": _Option(_texts, _DEFAULTED, _NAMES),
    "description": _Option(_text, _DEFAULTED, {"type": "string", "minLength": 1}),
    "retries": _Option(_count, _DEFAULTED, {"type": "integer", "minimum": 0}),
    "retry_delay": _Option(parse_duration, _DEFAULTED, {"type": "string", "pattern": _DURATION}),
    "execution_timeout": _Option(
        parse_duration, _DEFAULTED, {"type": "string", "pattern": _DURATION}
    ),
    "paused": _Option(_flag, _DEFAULTED, {"type": "boolean"}),
    "timezone": _Option(_timezone, (*_DEFAULTED, Level.SCHEDULE), {"type": "string"}),
    "environments": _Option(_texts, (Level.JOB, Level.SCHEDULE), _NAMES),
}


def option_schema(level: Level) -> dict[str, Any]:
    """Return the JSON Schema of the options that may stand at a level."""
    known = {name: option for name, option in _OPTIONS.items() if level in option.levels}
    described = _descriptions()
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {**option.schema, "description": described[name]}
            for name, option in known.items()
        },
    }


def _descriptions() -> dict[str, str]:
    """Return what the docstring of `Options` says of each."""
    attributes = (Options.__doc__ or "").split("Attributes:")[1]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", attributes, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def read_options(holder: YamlMap, level: Level) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Read the options that stand in the `annotations` of a part of the project.

    Returns:
        The options that are set and right, and a problem for each that is not.
    """
    annotations = holder.get("annotations")
    if not isinstance(annotations, YamlMap):
        return {}, ()
    if KEY not in annotations:
        return {}, tuple(_misplaced(annotations))
    written = annotations[KEY]
    who = "" if level is Level.PROJECT else f"{level.split()[-1]} {shown(holder.get('name'))}: "
    if not isinstance(written, YamlMap):
        message = "airflow is no mapping of options"
        return {}, (_problem(annotations.at(KEY), message, "write option: value"),)
    options, problems = {}, []
    for key, value in written.items():
        option = _OPTIONS.get(key)
        if option is None or level not in option.levels:
            problems.append(_unknown(written.at(key), who, key, level))
            continue
        try:
            options[key] = option.read(value)
        except (ValueError, OverflowError) as error:
            reason = "is too long" if isinstance(error, OverflowError) else error
            message = f"{who}{key}: {shown(value)} {reason}"
            problems.append(_problem(written.at(key), message, _right_form(key, value)))
    return options, tuple(problems)


def _right_form(key: str, value: Any) -> str:
    """Return how to write what was meant, as far as that can be told."""
    kind = _OPTIONS[key].schema["type"]
    if kind == "array" and isinstance(value, str):
        return f"write [{value}]"
    if kind == "boolean":
        return "write true or false"
    if kind == "integer" and isinstance(value, str) and value.isdecimal():
        return f"write {value} without quotes"
    if key == "timezone":
        near = difflib.get_close_matches(str(value), available_timezones(), n=1)
        return f"did you mean {near[0]}?" if near else "write a name of the IANA database, or UTC"
    if "pattern" in _OPTIONS[key].schema and (number := re.match(r"[1-9]\d*", str(value))):
        return f"write {number[0]}s, {number[0]}m, {number[0]}h or {number[0]}d"
    return "correct it, or remove it"


def _misplaced(annotations: YamlMap) -> Iterator[Problem]:
    for key in filter(_OPTIONS.__contains__, annotations):
        message = f"{key} stands beside `{KEY}:`, not below it, and nobody reads it"
        hint = f"write annotations: {{{KEY}: {{{key}: ...}}}}"
        yield Problem(Code.UNKNOWN_ANNOTATIONS, annotations.at(key), message, hint)
    for key in difflib.get_close_matches(KEY, map(str, annotations), cutoff=_ALIKE):
        message = f"annotations for {key!r} are another tool's"
        hint = f"did you mean {KEY!r}?"
        yield Problem(Code.UNKNOWN_ANNOTATIONS, annotations.at(key), message, hint)


def _unknown(place: Location, who: str, key: Any, level: Level) -> Problem:
    if key in _OPTIONS:
        message = f"{who}{key} is no option of {level}"
        return _problem(place, message, f"put it on {' or '.join(_OPTIONS[key].levels)}")
    known = [name for name, each in _OPTIONS.items() if level in each.levels]
    near = difflib.get_close_matches(str(key), known, n=1)
    message = f"{who}there is no option {shown(key)} for {level}"
    some = f"the options are {', '.join(known)}" if known else "options go to a job"
    return _problem(place, message, f"did you mean {near[0]}?" if near else some)


def _problem(location: Location, message: str, hint: str) -> Problem:
    return Problem(Code.INVALID_OPTION, location, message, hint)


def layer(levels: Iterable[Mapping[str, Any]]) -> Options:
    """Combine levels of options; the later wins, and `tags` add up."""
    combined: dict[str, Any] = {}
    for level in levels:
        tags = (*combined.get("tags", ()), *level.get("tags", ()))
        combined |= {**level, "tags": tuple(dict.fromkeys(tags))}
    return Options(**combined)


def is_option(key: Any, level: Level) -> bool:
    """Return whether there is an option of this name for a level."""
    return key in _OPTIONS and level in _OPTIONS[key].levels
