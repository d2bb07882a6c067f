"""A Meltano project as frozen data: its jobs, schedules, environments and plugins.

Names and rules are Meltano's: https://docs.meltano.com/concepts/project. Where Meltano would
refuse a part, that part is left out and a problem says so.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from croniter import CroniterError, croniter

from dag_factory.errors import Code, Location, Problem, in_order
from dag_factory.options import read_options
from dag_factory.yaml_files import YamlList, YamlMap, read_project_files

_CRON_FIELDS = 5
_RANDOM = re.compile(r"\b[RH]\b", re.IGNORECASE)
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_ENVIRONMENT_KEYS = ("name", "config", "env", "state_id_suffix", "annotations")
_JOB_KEYS = ("name", "tasks", "annotations")

# meltano/core/schedule.py: CRON_INTERVALS. "@once" means "only by hand" to Meltano.
_INTERVALS: Mapping[str, str | None] = {
    "@once": None,
    "@manual": None,
    "@none": None,
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True)
class Plugin:
    """A plugin of the project.

    Attributes:
        type: Meltano's plural word, such as `extractors`.
        name: As jobs call it.
        mappings: The names of a mapper's mappings, which jobs call instead of the mapper.
    """

    type: str
    name: str
    mappings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """A Meltano environment, such as `dev`."""

    name: str
    location: Location


@dataclass(frozen=True)
class Job:
    """A named list of tasks.

    Attributes:
        name: As in `meltano run NAME`.
        items: One tuple of blocks per item of `tasks`.
        locations: Where each item stands.
        options: The options that its annotations set.
        location: Where the job stands.
    """

    name: str
    items: tuple[tuple[str, ...], ...]
    locations: tuple[Location, ...]
    options: Mapping[str, Any]
    location: Location


@dataclass(frozen=True)
class Schedule:
    """When a job runs.

    Attributes:
        name: The schedule's name.
        job: The job that it runs.
        cron: Five cron fields, or `None` for "only by hand".
        env: Variables that its runs get.
        location: Where the schedule stands.
    """

    name: str
    job: str
    cron: str | None
    env: Mapping[str, str]
    location: Location


@dataclass(frozen=True)
class Project:
    """Everything of a Meltano project that decides what Airflow runs."""

    root: Path
    location: Location
    default_environment: str | None = None
    environments: tuple[Environment, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def read_project(root: Path) -> tuple[Project | None, tuple[Problem, ...]]:
    """Read the project below `root`.

    Returns:
        Its good parts (`None` where Meltano would refuse the whole project), and all problems.
    """
    root = root.resolve()
    data, problems = read_project_files(root)
    if data is None:
        return None, in_order(problems)
    reader = _ProjectReader(root, data)
    project = reader.read()
    return project, in_order((*problems, *reader.problems))


class _ProjectReader:
    """Walks the plain data of one project; collects problems instead of stopping at one."""

    def __init__(self, root: Path, data: YamlMap) -> None:
        self.root = root
        self.data = data
        self.problems: list[Problem] = []

    def report(self, code: Code, location: Location, message: str, hint: str) -> None:
        self.problems.append(Problem(code, location, message, hint))

    def read(self) -> Project:
        default = self.data.get("default_environment")
        options, problems = read_options(self.data)
        self.problems.extend(problems)
        defined = frozenset(entry["name"] for entry in self.entries(self.data, "jobs"))
        return Project(
            root=self.root,
            location=self.data.at("default_environment"),
            default_environment=default if isinstance(default, str) else None,
            environments=tuple(self.environments()),
            plugins=tuple(self.plugins()),
            jobs=tuple(self.jobs()),
            schedules=tuple(self.schedules(defined)),
            options=options,
        )

    def entries(self, holder: YamlMap, key: str) -> Iterator[YamlMap]:
        """Yield the named entries of a list of mappings."""
        values = holder.get(key)
        if values is None:
            return
        if not isinstance(values, YamlList):
            self.report(Code.WRONG_SHAPE, holder.at(key), f"{key} is no list", "make it a list")
            return
        for value, location in zip(values, values.places, strict=True):
            if not isinstance(value, YamlMap):
                message = f"an item of {key} is no mapping"
                self.report(
                    Code.WRONG_SHAPE, location, message, "give it a `name:` and what else it needs"
                )
            elif not isinstance(value.get("name"), str):
                message = f"an item of {key} has no name that is text"
                self.report(
                    Code.INVALID_NAME, value.at("name"), message, "set `name`; quote a number"
                )
            else:
                yield value

    def first_entries(self, key: str) -> Iterator[YamlMap]:
        """Yield the entries of a list; of those with one name the first, as Meltano does."""
        found: dict[str, Location] = {}
        for entry in self.entries(self.data, key):
            name = entry["name"]
            if name not in found:
                found[name] = entry.location
                yield entry
                continue
            message = f"{name!r} stands in {key} again; Meltano uses {found[name].text(self.root)}"
            self.report(Code.DUPLICATE_NAME, entry.location, message, "rename or remove one")

    def unknown_keys(
        self, kind: str, entry: YamlMap, known: tuple[str, ...], hint: str
    ) -> list[Any]:
        """Report the keys at which Meltano refuses every command, and return them."""
        unknown = [key for key in entry if key not in known]
        if unknown:
            keys = ", ".join(map(str, unknown))
            message = f"{kind} {entry['name']!r} has {keys}, at which Meltano refuses every command"
            self.report(Code.WRONG_SHAPE, entry.at(unknown[0]), message, hint)
        return unknown

    def misplaced_options(self, kind: str, entry: YamlMap) -> bool:
        """Report options where none are read, and return whether there are any."""
        annotations = entry.get("annotations")
        if not isinstance(annotations, YamlMap) or "airflow" not in annotations:
            return False
        message = f"{kind} {entry['name']!r} has options for airflow"
        hint = "put them on a job, or at the top level of meltano.yml"
        self.report(Code.INVALID_OPTION, annotations.at("airflow"), message, hint)
        return True

    def environments(self) -> Iterator[Environment]:
        for entry in self.entries(self.data, "environments"):
            hint = f"an environment has {', '.join(_ENVIRONMENT_KEYS)}"
            self.unknown_keys("environment", entry, _ENVIRONMENT_KEYS, hint)
            self.misplaced_options("environment", entry)
            yield Environment(entry["name"], entry.location)

    def plugins(self) -> Iterator[Plugin]:
        types = self.data.get("plugins")
        if types is None:
            return
        if not isinstance(types, YamlMap):
            message = "plugins is no mapping of plugin types"
            self.report(Code.WRONG_SHAPE, self.data.at("plugins"), message, "group plugins by type")
            return
        for plugin_type in types:
            if types[plugin_type] is None:
                message = f"plugins: {plugin_type} has no plugins, which Meltano refuses"
                hint = "remove the key, or write []"
                self.report(Code.WRONG_SHAPE, types.at(plugin_type), message, hint)
            for entry in self.entries(types, plugin_type):
                mappings = tuple(each["name"] for each in self.entries(entry, "mappings"))
                self.misplaced_options("plugin", entry)
                yield Plugin(plugin_type, entry["name"], mappings)

    def jobs(self) -> Iterator[Job]:
        for entry in self.first_entries("jobs"):
            name = entry["name"]
            hint = f"a job has {', '.join(_JOB_KEYS)}; options go to annotations: {{airflow: }}"
            if self.unknown_keys("job", entry, _JOB_KEYS, hint):
                continue
            items = self.items(name, entry)
            options, problems = read_options(entry)
            self.problems.extend(problems)
            if items is not None and not problems:
                blocks, locations = zip(*items, strict=True)
                yield Job(name, blocks, locations, options, entry.location)

    def items(self, name: str, entry: YamlMap) -> list[tuple[tuple[str, ...], Location]] | None:
        """Return the blocks of each item of `tasks`, split at spaces as Meltano does."""
        tasks = entry.get("tasks")
        hint = "write `tasks: [tap-x target-y, other:command]`"
        if not isinstance(tasks, YamlList) or not tasks:
            what = "no tasks" if not tasks else "`tasks` that are no list"
            self.report(Code.INVALID_TASKS, entry.at("tasks"), f"job {name!r} has {what}", hint)
            return None
        items = []
        for task, location in zip(tasks, tasks.places, strict=True):
            words = task if isinstance(task, list) else [task]
            if not words or not all(isinstance(word, str) for word in words):
                message = f"job {name!r} has a task that is no text or list of texts"
                self.report(Code.INVALID_TASKS, location, message, hint)
                return None
            blocks = tuple(block for word in words for block in word.split(" "))
            if not all(blocks):
                message = f"job {name!r} has a task with a space too many: {reprlib.repr(task)}"
                self.report(Code.INVALID_TASKS, location, message, "put one space between blocks")
                return None
            items.append((blocks, location))
        return items

    def schedules(self, jobs: frozenset[str]) -> Iterator[Schedule]:
        for entry in self.first_entries("schedules"):
            name, job = entry["name"], entry.get("job")
            if not isinstance(job, str) or not job:
                message = f"schedule {name!r} names no job"
                hint = "make its extractor and loader a job, and name that in `job`"
                self.report(Code.UNKNOWN_JOB, entry.at("job"), message, hint)
                continue
            if job not in jobs:
                message = f"schedule {name!r} names the job {job!r}, which does not exist"
                near = difflib.get_close_matches(job, jobs, n=1)
                hint = (
                    f"did you mean {near[0]!r}?"
                    if near
                    else "define the job, or remove the schedule"
                )
                self.report(Code.UNKNOWN_JOB, entry.at("job"), message, hint)
                continue
            env = self.schedule_env(name, entry)
            cron, known = self.cron(name, entry)
            misplaced = self.misplaced_options("schedule", entry)
            if env is not None and known and not misplaced:
                yield Schedule(name, job, cron, env, entry.location)

    def schedule_env(self, name: str, entry: YamlMap) -> Mapping[str, str] | None:
        env = entry.get("env")
        if not env:
            return {}
        if not isinstance(env, YamlMap):
            message = f"schedule {name!r}: env is no mapping"
            self.report(Code.INVALID_SCHEDULE_ENV, entry.at("env"), message, "write NAME: value")
            return None
        wrong = [
            key
            for key, value in env.items()
            if not isinstance(key, str) or not isinstance(value, str)
        ]
        for key in wrong:
            message = f"schedule {name!r}: env {key} is no text, so `meltano schedule run` fails"
            self.report(
                Code.INVALID_SCHEDULE_ENV, env.at(key), message, f'quote it: {key}: "{env[key]}"'
            )
        return None if wrong else env

    def cron(self, name: str, entry: YamlMap) -> tuple[str | None, bool]:
        """Return the cron expression, and whether `interval` makes sense."""
        interval = entry.get("interval")
        if interval is None or interval == "":
            return None, True
        if isinstance(interval, str) and interval in _INTERVALS:
            return _INTERVALS[interval], True
        wrong = _wrong_cron(interval)
        if wrong:
            said = reprlib.repr(interval)
            message = f"schedule {name!r}: interval {said} cannot be understood: {wrong}"
            near = difflib.get_close_matches(str(interval), _INTERVALS, n=1)
            words = f"did you mean {near[0]}?" if near else "or one of " + ", ".join(_INTERVALS)
            hint = f"write five cron fields, {words}"
            self.report(Code.INVALID_INTERVAL, entry.at("interval"), message, hint)
        return interval, not wrong


def _wrong_cron(expression: Any) -> str | None:
    """Return why Airflow, which uses croniter too, would refuse a cron expression."""
    if not isinstance(expression, str) or len(expression.split()) != _CRON_FIELDS:
        return "a cron expression has five fields"
    if _RANDOM.search(expression):
        return "R and H are random, and not Meltano's"
    try:
        ticks = croniter(expression, _SOME_DAY)
        ticks.get_next()
        ticks.get_prev()
    except CroniterError as error:
        return str(error)
    return None
