"""Reads the options in `annotations: {airflow: {...}}`, and combines those of several places.

`annotations` is Meltano's own place for other tools' metadata:
https://docs.meltano.com/concepts/project#annotations. The nearest place wins: the top level of
meltano.yml < a plugin (the loader, then the extractor) < the job < `tasks:` of the job < the
environment < `jobs:` of the environment. `tags`, `secrets` and mappings add up, everything else
replaces.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dag_factory.errors import Code, InvalidValueError, Location, Problem, Problems, guess, shown
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.catalog import (
    ANNOTATION_KEY,
    NESTED_LEVELS,
    OPTIONS,
    DagOptions,
    Level,
    TaskOptions,
    is_option,
)
from dag_factory.options.pod_merge import item_name, merge_pods
from dag_factory.options.values import Secrets, alternatives

_SIMILARITY_CUTOFF = 0.8


@dataclass(frozen=True)
class Annotations:
    """The options that one place of the project sets.

    Attributes:
        values: The valid options.
        places: The location of each option, and of each key in a mapping that adds up, such as
            `dag.fail_fast` or `pod_override.spec.containers.base.env`.
        parts: The options below a job's `tasks` or an environment's `jobs`, by name.
        wrong: Whether an option is invalid: then the job that it is for does not run.
        location: The location of the options.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Location] = field(default_factory=dict, compare=False)
    parts: Mapping[str, Annotations] = field(default_factory=dict)
    wrong: bool = False
    location: Location | None = field(default=None, compare=False)


def read_annotations(holder: YamlMap, level: Level) -> tuple[Annotations, tuple[Problem, ...]]:
    """Read the options in the `annotations` of a part of the project.

    Returns:
        The valid options, and a problem for each invalid one.
    """
    annotations = holder.get("annotations")
    if not isinstance(annotations, YamlMap):
        return Annotations(), ()
    problems = Problems()
    _check_place(annotations, problems)
    if ANNOTATION_KEY not in annotations:
        return Annotations(), (*problems,)
    who = "" if level is Level.PROJECT else f"{level.split()[-1]} {shown(holder.get('name'))}: "
    found = _read_options(annotations, ANNOTATION_KEY, level, who, problems)
    return found, (*problems,)


def _check_place(annotations: YamlMap, problems: Problems) -> None:
    """Report options next to the key that should hold them, and misspellings of that key."""
    for key in filter(OPTIONS.__contains__, annotations):
        message = f"`{key}` is next to `{ANNOTATION_KEY}:` instead of below it, so nothing reads it"
        hint = f"write annotations: {{{ANNOTATION_KEY}: {{{key}: ...}}}}"
        problems.add(Code.UNKNOWN_ANNOTATIONS, annotations.at(key), message, hint)
    others = [str(each) for each in annotations if each != ANNOTATION_KEY]
    for key in difflib.get_close_matches(ANNOTATION_KEY, others, cutoff=_SIMILARITY_CUTOFF):
        message = f"annotations for {key!r} belong to another tool"
        hint = f"did you mean {ANNOTATION_KEY!r}?"
        problems.add(Code.UNKNOWN_ANNOTATIONS, annotations.at(key), message, hint)


def _read_options(
    holder: YamlMap, key: Any, level: Level, who: str, problems: Problems
) -> Annotations:
    """Read the options below a key of their holder; `who` begins each message."""
    reader = _Reader(level, who, problems)
    before = len(problems)
    options = holder[key]
    if isinstance(options, YamlMap):
        for option in options:
            reader.read(options, option)
    else:
        message = f"{who}`{key}` must be a mapping of options"
        reader.report(holder.at(key), message, "write option: value")
    is_wrong = len(problems) > before
    return Annotations(reader.values, reader.places, reader.parts, is_wrong, holder.at(key))


class _Reader:
    """Reads the options of one place."""

    def __init__(self, level: Level, who: str, problems: Problems) -> None:
        self.level = level
        self.who = who
        self.problems = problems
        self.values: dict[str, Any] = {}
        self.places: dict[str, Location] = {}
        self.parts: dict[str, Annotations] = {}

    def report(self, place: Location, message: str, hint: str) -> None:
        self.problems.add(Code.INVALID_OPTION, place, message, hint)

    def read(self, options: YamlMap, key: Any) -> None:
        if self.level in NESTED_LEVELS and key == NESTED_LEVELS[self.level][0]:
            self.read_parts(options, key)
        elif not is_option(key, self.level):
            message = f"{self.who}{shown(key)} is not an option of {self.level}"
            self.report(options.at(key), message, _known_option(key, self.level))
        else:
            try:
                self.values[key] = OPTIONS[key].kind.read(options[key])
                self.places |= {key: options.at(key), **_items(options, key)}
            except InvalidValueError as error:
                message = f"{self.who}`{key}` {error.reason}"
                hint = error.hint or "correct it, or remove it"
                self.report(options.at(key), message, hint)

    def read_parts(self, options: YamlMap, key: str) -> None:
        parts, level = options[key], NESTED_LEVELS[self.level][1]
        if not isinstance(parts, YamlMap):
            message = f"{self.who}`{key}` must be a mapping"
            self.report(options.at(key), message, "write NAME: {...}")
            return
        for name in parts:
            who = f"{self.who}{key[:-1]} {shown(name)}: "
            self.parts[str(name)] = _read_options(parts, name, level, who, self.problems)


def _known_option(key: Any, level: Level) -> str:
    """Return the hint for what is not an option of a level: a place for it, or a name like it."""
    holders = [holder for holder, (part, _) in NESTED_LEVELS.items() if part == key]
    levels = OPTIONS[key].levels if key in OPTIONS else holders
    if levels:
        return f"move it to {alternatives(levels)}"
    known = [name for name in OPTIONS if is_option(name, level)]
    if level in NESTED_LEVELS:
        known.append(NESTED_LEVELS[level][0])
    return guess(key, known, f"the options are {', '.join(known)}")


def _items(written: YamlMap, key: str) -> dict[str, Location]:
    return dict(_places((key,), written[key])) if key in _ADD_UP else {}


def _places(path: tuple[str, ...], part: Any) -> Iterator[tuple[str, Location]]:
    """Yield the location of each key of a mapping, and of the keys below it."""
    if isinstance(part, YamlMap):
        for name in part:
            yield ".".join((*path, str(name))), part.at(name)
            yield from _places((*path, str(name)), part[name])
    elif isinstance(part, list):
        for index, item in enumerate(part):
            yield from _places((*path, item_name(path[-1], item, index)), item)


def dag_options(places: Iterable[Annotations]) -> DagOptions:
    """Combine the options of places for a job as a whole; a later place wins."""
    return DagOptions(**_combined(places, DagOptions))


def task_options(places: Iterable[Annotations]) -> TaskOptions:
    """Combine the options of places for a task; a later place wins."""
    return TaskOptions(**_combined(places, TaskOptions))


def _combined(places: Iterable[Annotations], kind: type) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    combined: dict[str, Any] = {}
    for place in places:
        for name, value in place.values.items():
            if name in names:
                adds_up = name in _ADD_UP and name in combined
                combined[name] = _added(name, combined[name], value) if adds_up else value
    return combined


_ADD_UP = (
    *("tags", "owner_links", "params", "dag", "operator"),
    *("resources", "node_selector", "secrets", "pod_override"),
)


def _added(name: str, earlier: Any, value: Any) -> Any:
    if name in ("resources", "pod_override"):
        return merge_pods(earlier, value, keep_removals=True)
    if isinstance(value, Secrets):
        return earlier.under(value)
    if isinstance(value, Mapping):
        return {**earlier, **value}
    return tuple(dict.fromkeys((*earlier, *value)))


def sources(places: Iterable[Annotations], kind: type) -> dict[str, tuple[Location, ...]]:
    """Return the locations that set each effective option of a kind, and each of its items."""
    names = {each.name for each in fields(kind)}
    found: dict[str, tuple[Location, ...]] = {}
    for place in places:
        for name, location in place.places.items():
            if name.partition(".")[0] in names:
                earlier = found.get(name, ()) if name in _ADD_UP else ()
                found[name] = (*earlier, location)
    return found
