"""A Meltano project as frozen data: its jobs, schedules, environments and plugins.

Names and rules are Meltano's: https://docs.meltano.com/concepts/project. It holds what Meltano
loads, also what could not run; `planner` says what can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dag_factory.cron import cron_interval
from dag_factory.errors import Code, Location, Problem, guess, in_order, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap, read_project_files
from dag_factory.options.annotations import Annotations, read_annotations
from dag_factory.options.catalog import Level
from dag_factory.project import validation
from dag_factory.project.plugins import Plugin, read_plugins


@dataclass(frozen=True)
class Environment:
    """A Meltano environment, such as `dev`.

    Attributes:
        name: As in `--environment`.
        state_id_suffix: As written: Meltano puts variables into it when it runs.
        options: Those that its annotations set.
        entry: What is written.
    """

    name: str
    state_id_suffix: str | None
    options: Annotations
    entry: YamlMap = field(compare=False)

    def configured(self, plugin: Plugin) -> Iterator[YamlMap]:
        """Yield what the environment sets for a plugin."""
        config = self.entry.get("config")
        types = config.get("plugins") if isinstance(config, YamlMap) else None
        entries = types.get(plugin.type) if isinstance(types, YamlMap) else None
        for entry in entries if isinstance(entries, YamlList) else ():
            if isinstance(entry, YamlMap) and entry.get("name") == plugin.name:
                yield entry


@dataclass(frozen=True)
class Job:
    """A named list of tasks.

    Attributes:
        name: As in `meltano run NAME`; text, or Meltano cannot run it.
        tasks: As written.
        options: Those that its annotations set.
        entry: What is written.
        location: Where the job stands.
    """

    name: Any
    tasks: Any
    options: Annotations
    entry: YamlMap = field(compare=False)
    location: Location


@dataclass(frozen=True)
class Schedule:
    """When a job runs, or (the older form) an extractor and a loader.

    Attributes:
        name: The schedule's name.
        interval: As written.
        cron_interval: The same with Meltano's words replaced; `None` for "only by hand".
        env: Variables that its runs get, as written.
        job: The job that it runs; `None` in the older form.
        options: Those that its annotations set.
        entry: What is written; the older form has `extractor`, `loader` and `transform`.
        location: Where the schedule stands.
    """

    name: Any
    interval: Any
    cron_interval: Any
    env: Any
    job: Any
    options: Annotations
    entry: YamlMap = field(compare=False)
    location: Location

    @property
    def elt_args(self) -> tuple[Any, Any, str, str]:
        """What the older form hands to `meltano elt`."""
        transform = f"--transform={self.entry['transform']}"
        return self.entry["extractor"], self.entry["loader"], transform, f"--state-id={self.name}"


@dataclass(frozen=True)
class Project:
    """Everything of a Meltano project that decides what Airflow runs.

    Jobs and schedules stand in their order, also those whose name stands twice. `refused` are the
    names in what Meltano refuses: who names them need not hear that there is no such thing.
    """

    root: Path
    data: YamlMap = field(compare=False)
    default_environment: str | None = None
    environments: tuple[Environment, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    options: Annotations = field(default_factory=Annotations)
    refused: frozenset[str] = frozenset()


def read_project(root: Path) -> tuple[Project | None, tuple[Problem, ...]]:
    """Read the project below `root`.

    Returns:
        What of it can be read (`None` where nothing can), and the problems that Meltano would have
        with loading it, or we with its options.
    """
    root = root.resolve()
    data, problems = read_project_files(root)
    if data is None:
        return None, in_order(problems)
    reader = _ProjectReader(data)
    plugins = tuple(
        replace(plugin, options=reader.options(plugin.entry, Level.PLUGIN))
        for plugin in read_plugins(root, data)
    )
    wrong = tuple(validation.wrong_shapes(data))
    named = [data.get(key) for key in ("plugins", "jobs", "environments") if wrong]
    project = Project(
        root=root,
        data=data,
        default_environment=_text(data.get("default_environment")),
        environments=tuple(reader.environments()),
        plugins=plugins,
        jobs=tuple(reader.jobs()),
        schedules=tuple(reader.schedules()),
        options=reader.options(data, Level.PROJECT),
        refused=frozenset(name for part in named for name in _names(part)),
    )
    return project, in_order((*problems, *wrong, *_incompatible(data), *reader.problems))


def _names(values: Any) -> Iterator[str]:
    """Yield every name in a part of the project, at any depth."""
    if isinstance(values, str):
        yield values
    for each in values if isinstance(values, YamlList) else ():
        yield from _names(each)
    for key, value in values.items() if isinstance(values, YamlMap) else ():
        if key == "name" or not isinstance(value, str):
            yield from _names(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _incompatible(data: YamlMap) -> Iterator[Problem]:
    """Yield a problem where the Meltano that is installed beside us is not the one required."""
    required = data.get("requires_meltano")
    if not required:
        return
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - 50 ms to import

    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415

    place = data.at("requires_meltano")
    try:
        accepted = SpecifierSet(str(required))
        installed = version("meltano")
    except InvalidSpecifier:
        message = f"requires_meltano: {shown(required)} is no version specifier"
        yield Problem(Code.WRONG_SHAPE, place, message, 'write one such as ">=4.4,<5"')
    except PackageNotFoundError:
        return
    else:
        if not accepted.contains(installed):
            message = f"the project requires Meltano {required}, and {installed} is installed"
            hint = "install the one it requires, or change requires_meltano"
            yield Problem(Code.INCOMPATIBLE_MELTANO, place, message, hint)


class _ProjectReader:
    """Walks the plain data of one project; passes over what Meltano would refuse."""

    def __init__(self, data: YamlMap) -> None:
        self.data = data
        self.problems: list[Problem] = []

    def options(self, holder: YamlMap, level: Level) -> Annotations:
        options, found = read_annotations(holder, level)
        unknown = [*self.unknown_environments(options)]
        self.problems += (*found, *unknown)
        return replace(options, wrong=True) if unknown else options

    def unknown_environments(self, options: Annotations) -> Iterator[Problem]:
        for name in options.values.get("environments", ()):
            if name not in self.known_environments:
                some = f"write some of {', '.join(self.known_environments)}"
                hint = guess(name, self.known_environments, some)
                place = options.places["environments"]
                message = f"environments: there is no environment {name!r}"
                yield Problem(Code.INVALID_OPTION, place, message, hint)

    @cached_property
    def known_environments(self) -> list[str]:
        entries = self.entries("environments", validation.environment)
        return [each["name"] for each in entries if isinstance(each["name"], str)]

    def entries(self, key: str, check: Callable[[YamlMap], Iterator[Problem]]) -> Iterator[YamlMap]:
        values = self.data.get(key)
        for value in values if isinstance(values, YamlList) else ():
            if not validation.is_wrong(value, check):
                yield value

    def environments(self) -> Iterator[Environment]:
        for entry in self.entries("environments", validation.environment):
            if not isinstance(entry["name"], str):
                message = f"an environment has the name {shown(entry['name'])}, which is no text"
                place = entry.at("name")
                self.problems.append(Problem(Code.INVALID_NAME, place, message, "quote it"))
                continue
            suffix = _text(entry.get("state_id_suffix"))
            options = self.options(entry, Level.ENVIRONMENT)
            yield Environment(entry["name"], suffix, options, entry)

    def jobs(self) -> Iterator[Job]:
        for entry in self.entries("jobs", validation.job):
            options = self.options(entry, Level.JOB)
            yield Job(entry["name"], entry["tasks"], options, entry, entry.location)

    def schedules(self) -> Iterator[Schedule]:
        for entry in self.entries("schedules", validation.schedule):
            interval = entry["interval"]
            yield Schedule(
                name=entry["name"],
                interval=interval,
                cron_interval=cron_interval(interval),
                env=entry.get("env") or {},
                job=entry.get("job") or None,
                options=self.options(entry, Level.SCHEDULE),
                entry=entry,
                location=entry.location,
            )
