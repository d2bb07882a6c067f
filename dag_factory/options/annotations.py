"""What `annotations: {airflow: {...}}` says in each place, and which place wins.

`annotations` is Meltano's own place for other tools' metadata:
https://docs.meltano.com/concepts/project#annotations. The nearest place wins: the top level of
meltano.yml < a plugin (the loader, then the extractor) < the job < `tasks:` of the job < the
environment < `jobs:` of the environment. `tags`, `secrets` and mappings add up, everything else
replaces.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from zoneinfo import available_timezones

from dag_factory.errors import Code, Location, Problem, guess, shown
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.catalog import (
    KEY,
    OPTIONS,
    PARTS,
    DagOptions,
    Level,
    TaskOptions,
    is_option,
)
from dag_factory.options.pod_merge import item_name, merge_pods
from dag_factory.options.values import Secrets

_ALIKE = 0.8


@dataclass(frozen=True)
class Annotations:
    """The options that one place of the project sets.

    Attributes:
        values: The options that are right.
        places: Where each stands; what is in a mapping that adds up, too, as `dag.fail_fast` or
            `pod_override.spec.containers.base.env`.
        parts: Those of a job's `tasks` or an environment's `jobs`, by name.
        wrong: Whether something is wrong with others: the job that they are for does not run.
        location: Where they stand.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Location] = field(default_factory=dict, compare=False)
    parts: Mapping[str, Annotations] = field(default_factory=dict)
    wrong: bool = False
    location: Location | None = field(default=None, compare=False)


def read_annotations(holder: YamlMap, level: Level) -> tuple[Annotations, tuple[Problem, ...]]:
    """Read the options that stand in the `annotations` of a part of the project.

    Returns:
        The options that are set and right, and a problem for each that is not.
    """
    annotations = holder.get("annotations")
    if not isinstance(annotations, YamlMap):
        return Annotations(), ()
    misplaced = tuple(_misplaced(annotations))
    if KEY not in annotations:
        return Annotations(), misplaced
    who = "" if level is Level.PROJECT else f"{level.split()[-1]} {shown(holder.get('name'))}: "
    found, problems = _Reader(level, who).read(annotations, KEY)
    return found, (*misplaced, *problems)


class _Reader:
    """Reads the options of one place; `who` begins each message."""

    def __init__(self, level: Level, who: str) -> None:
        self.level = level
        self.who = who
        self.values: dict[str, Any] = {}
        self.places: dict[str, Location] = {}
        self.parts: dict[str, Annotations] = {}
        self.problems: list[Problem] = []

    def read(self, holder: YamlMap, key: str) -> tuple[Annotations, tuple[Problem, ...]]:
        written = holder[key]
        if isinstance(written, YamlMap):
            for option in written:
                self.option(written, option)
        else:
            message = f"{self.who}{key} is no mapping of options"
            self.report(holder.at(key), message, "write option: value")
        place, wrong = holder.at(key), bool(self.problems)
        found = Annotations(self.values, self.places, self.parts, wrong, place)
        return found, tuple(self.problems)

    def report(self, place: Location, message: str, hint: str) -> None:
        self.problems.append(Problem(Code.INVALID_OPTION, place, message, hint))

    def option(self, written: YamlMap, key: Any) -> None:
        if self.level in PARTS and key == PARTS[self.level][0]:
            self.part(written, key)
        elif not is_option(key, self.level):
            self.report(written.at(key), *_unknown(self.who, key, self.level))
        else:
            try:
                self.values[key] = OPTIONS[key].read(written[key])
                self.places |= {key: written.at(key), **_items(written, key)}
            except (ValueError, OverflowError) as error:
                said = "is too long" if isinstance(error, OverflowError) else str(error)
                reason, _, hint = said.partition("; ")
                about_a_part = reason.startswith(("has ", "needs "))
                value = "" if about_a_part else f"{shown(written[key])} "
                message = f"{self.who}{key}: {value}{reason}"
                self.report(written.at(key), message, hint or _right_form(key, written[key]))

    def part(self, written: YamlMap, key: str) -> None:
        entries, level = written[key], PARTS[self.level][1]
        if not isinstance(entries, YamlMap):
            self.report(written.at(key), f"{self.who}{key} is no mapping", "write NAME: {...}")
            return
        for name in entries:
            reader = _Reader(level, f"{self.who}{key[:-1]} {shown(name)}: ")
            self.parts[str(name)], problems = reader.read(entries, name)
            self.problems += problems


def _items(written: YamlMap, key: str) -> dict[str, Location]:
    return dict(_places((key,), written[key])) if key in _ADD_UP else {}


def _places(path: tuple[str, ...], part: Any) -> Iterator[tuple[str, Location]]:
    """Yield where each key of a mapping stands, and those below it."""
    if isinstance(part, YamlMap):
        for name in part:
            yield ".".join((*path, str(name))), part.at(name)
            yield from _places((*path, str(name)), part[name])
    elif isinstance(part, list):
        for index, item in enumerate(part):
            yield from _places((*path, item_name(path[-1], item, index)), item)


def _unknown(who: str, key: Any, level: Level) -> tuple[str, str]:
    if key in OPTIONS:
        message = f"{who}{key} is no option of {level}"
        *levels, last = OPTIONS[key].levels
        return message, f"put it on {' or '.join(filter(None, [', '.join(levels), last]))}"
    holders = [holder for holder, (part, _) in PARTS.items() if part == key]
    if holders:
        return f"{who}{key} is no option of {level}", f"put it on {holders[0]}"
    known = [name for name in OPTIONS if is_option(name, level)]
    if level in PARTS:
        known.append(PARTS[level][0])
    message = f"{who}there is no option {shown(key)} for {level}"
    return message, guess(key, known, f"the options are {', '.join(known)}")


def _right_form(key: str, value: Any) -> str:
    """Return how to write what was meant, as far as that can be told."""
    schema = OPTIONS[key].schema
    kind = schema.get("type")
    if kind == "array" and isinstance(value, str):
        return f"write [{value}]"
    if kind == "boolean":
        return "write true or false"
    if kind == "integer" and isinstance(value, str) and value.isdecimal():
        return f"write {value} without quotes"
    known = available_timezones() if key == "timezone" else schema.get("enum", ())
    if near := difflib.get_close_matches(str(value), known, n=1):
        return f"did you mean {near[0]!r}?"
    if "pattern" in schema and (number := re.match(r"[1-9]\d*", str(value))):
        return f"write {number[0]}s, {number[0]}m, {number[0]}h or {number[0]}d"
    return "correct it, or remove it"


def _misplaced(annotations: YamlMap) -> Iterator[Problem]:
    for key in filter(OPTIONS.__contains__, annotations):
        message = f"{key} stands beside `{KEY}:`, not below it, and nobody reads it"
        hint = f"write annotations: {{{KEY}: {{{key}: ...}}}}"
        yield Problem(Code.UNKNOWN_ANNOTATIONS, annotations.at(key), message, hint)
    others = [str(each) for each in annotations if each != KEY]
    for key in difflib.get_close_matches(KEY, others, cutoff=_ALIKE):
        message = f"annotations for {key!r} are another tool's"
        hint = f"did you mean {KEY!r}?"
        yield Problem(Code.UNKNOWN_ANNOTATIONS, annotations.at(key), message, hint)


def dag_options(places: Iterable[Annotations]) -> DagOptions:
    """Combine what the places say of a job as a whole; the later wins."""
    return DagOptions(**_combined(places, DagOptions))


def task_options(places: Iterable[Annotations]) -> TaskOptions:
    """Combine what the places say of a task; the later wins."""
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
    """Return where the effective value of each option of a kind, and of its items, comes from."""
    names = {each.name for each in fields(kind)}
    found: dict[str, tuple[Location, ...]] = {}
    for place in places:
        for name, location in place.places.items():
            if name.partition(".")[0] in names:
                earlier = found.get(name, ()) if name in _ADD_UP else ()
                found[name] = (*earlier, location)
    return found
