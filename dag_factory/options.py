"""The shape of `annotations: {airflow: {...}}`: how Airflow runs a job.

`annotations` is Meltano's own place for other tools' metadata
(https://docs.meltano.com/concepts/project#annotations). Options stand at the top level of
meltano.yml, where they are defaults, and on jobs, which override them; `tags` add up.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dag_factory.errors import Code, Location, Problem
from dag_factory.yaml_files import YamlMap

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ISO_8601 = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


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
        execution_timeout: After which a task is stopped; `None` means never.
        paused: Whether a new DAG waits for somebody to switch it on.
    """

    owner: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    retries: int = 2
    retry_delay: timedelta = timedelta(minutes=6)
    execution_timeout: timedelta | None = None
    paused: bool = False


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


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "owner": _text,
    "tags": _texts,
    "description": _text,
    "retries": _count,
    "retry_delay": parse_duration,
    "execution_timeout": parse_duration,
    "paused": _flag,
}


def read_options(holder: YamlMap) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Read the options that stand in the `annotations` of a project or job.

    Returns:
        The options that are set and right, and a problem for each that is not.
    """
    annotations = holder.get("annotations")
    if not isinstance(annotations, YamlMap) or "airflow" not in annotations:
        return {}, ()
    written = annotations["airflow"]
    if not isinstance(written, YamlMap):
        message = "airflow is no mapping of options"
        return {}, (_problem(annotations.at("airflow"), message, "write option: value"),)
    options, problems = {}, []
    for key, value in written.items():
        reader = _READERS.get(key)
        if reader is None:
            near = difflib.get_close_matches(str(key), _READERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(_READERS)}"
            problems.append(_problem(written.at(key), f"there is no option {key!r}", hint))
            continue
        try:
            options[key] = reader(value)
        except (ValueError, OverflowError) as error:
            message = f"{key}: {reprlib.repr(value)} {error}"
            problems.append(_problem(written.at(key), message, "correct it, or remove it"))
    return options, tuple(problems)


def _problem(location: Location, message: str, hint: str) -> Problem:
    return Problem(Code.INVALID_OPTION, location, message, hint)


def layer(levels: Iterable[Mapping[str, Any]]) -> Options:
    """Combine levels of options; the later wins, and `tags` add up."""
    combined: dict[str, Any] = {}
    for level in levels:
        tags = (*combined.get("tags", ()), *level.get("tags", ()))
        combined |= {**level, "tags": tuple(dict.fromkeys(tags))}
    return Options(**combined)
