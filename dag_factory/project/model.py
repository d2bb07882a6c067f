"""A Meltano project as frozen data: its jobs, schedules, environments and plugins.

The names and rules are Meltano's: https://docs.meltano.com/concepts/project. The project contains
whatever Meltano loads, including jobs that cannot run. `planner` decides which can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dag_factory.cron import cron_interval
from dag_factory.errors import Code, Location, Problem, Problems, guess, in_order, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap, read_project_files
from dag_factory.options.annotations import Annotations, read_annotations
from dag_factory.options.catalog import Level
from dag_factory.project import validation
from dag_factory.project.plugins import Plugin, read_plugins


@dataclass(frozen=True)
class Environment:
    """A Meltano environment, such as `dev`.

    Attributes:
        name: The name, as in `--environment`.
        state_id_suffix: The suffix as written. Meltano replaces variables in it when it runs.
        options: The options that its annotations set.
        entry: The entry of `environments`.
    """

    name: str
    state_id_suffix: str | None
    options: Annotations
    entry: YamlMap = field(compare=False)

    def configured(self, plugin: Plugin) -> Iterator[YamlMap]:
        """Yield the entries of the environment's `config` for a plugin."""
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
        name: The name, as in `meltano run NAME`. Unless it is a string, Meltano cannot run the job.
        tasks: The value of `tasks` as written.
        options: The options that its annotations set.
        entry: The entry of `jobs`.
        location: The place of the entry.
    """

    name: Any
    tasks: Any
    options: Annotations
    entry: YamlMap = field(compare=False)
    location: Location


@dataclass(frozen=True)
class Schedule:
    """A schedule of a job, or of an extractor and a loader (an *ELT schedule*).

    Attributes:
        name: The name of the schedule.
        interval: The interval as written.
        cron_interval: The cron expression of the interval; `None` if it only runs manually.
        env: The environment variables of its runs, as written.
        job: The job that it runs; `None` for an ELT schedule.
        options: The options that its annotations set.
        entry: The entry of `schedules`. An ELT schedule has `extractor`, `loader`, `transform`.
        location: The place of the entry.
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
        """The arguments of `meltano elt` for an ELT schedule."""
        transform = f"--transform={self.entry['transform']}"
        return self.entry["extractor"], self.entry["loader"], transform, f"--state-id={self.name}"


@dataclass(frozen=True)
class Project:
    """Everything of a Meltano project that decides what Airflow runs.

    Attributes:
        root: The folder of the project.
        data: The merged project files.
        default_environment: The name of the default environment.
        environments: The environments.
        plugins: The plugins, in the order in which Meltano looks for a name.
        jobs: The jobs as written, including those with equal names.
        schedules: The schedules as written, including those with equal names.
        options: The options that the annotations of the project set.
        rejected_names: The names in a project that Meltano rejects. An unknown name among them
            needs no report of its own.
    """

    root: Path
    data: YamlMap = field(compare=False)
    default_environment: str | None = None
    environments: tuple[Environment, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    jobs: tuple[Job, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    options: Annotations = field(default_factory=Annotations)
    rejected_names: frozenset[str] = frozenset()


def read_project(root: Path) -> tuple[Project | None, tuple[Problem, ...]]:
    """Read the project below `root`.

    Returns:
        The parts of the project that can be read (`None` if there are none), and the problems:
        why Meltano would not load it, and which options are wrong.
    """
    root = root.resolve()
    problems = Problems()
    data = read_project_files(root, problems)
    if data is None:
        return None, in_order(problems)
    rejected = Problems()
    validation.check_shapes(data, rejected)
    problems.extend(rejected)
    _check_meltano_version(data, problems)
    reader = _ProjectReader(data, problems)
    plugins = tuple(
        replace(plugin, options=reader.options(plugin.entry, Level.PLUGIN))
        for plugin in read_plugins(root, data)
    )
    parts = [data.get(key) for key in ("plugins", "jobs", "environments") if rejected]
    project = Project(
        root=root,
        data=data,
        default_environment=_nonempty_string(data.get("default_environment")),
        environments=tuple(reader.environments()),
        plugins=plugins,
        jobs=tuple(reader.jobs()),
        schedules=tuple(reader.schedules()),
        options=reader.options(data, Level.PROJECT),
        rejected_names=frozenset(name for part in parts for name in _names(part)),
    )
    return project, in_order(problems)


def _names(values: Any) -> Iterator[str]:
    """Yield every name in a part of the project, at any depth."""
    if isinstance(values, str):
        yield values
    for each in values if isinstance(values, YamlList) else ():
        yield from _names(each)
    for key, value in values.items() if isinstance(values, YamlMap) else ():
        if key == "name" or not isinstance(value, str):
            yield from _names(value)


def _nonempty_string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _check_meltano_version(data: YamlMap, problems: Problems) -> None:
    """Report if the installed Meltano, if any, is not a version that the project requires."""
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
        message = f"requires_meltano: {shown(required)} is not a version specifier"
        problems.add(Code.WRONG_SHAPE, place, message, 'write one such as ">=4.4,<5"')
    except PackageNotFoundError:
        return
    else:
        if not accepted.contains(installed):
            message = f"the project requires Meltano {required}, but {installed} is installed"
            hint = "install the required version, or change requires_meltano"
            problems.add(Code.INCOMPATIBLE_MELTANO, place, message, hint)


class _ProjectReader:
    """Reads the parts of one project, except entries that Meltano would reject."""

    def __init__(self, data: YamlMap, problems: Problems) -> None:
        self.data = data
        self.problems = problems

    def options(self, holder: YamlMap, level: Level) -> Annotations:
        options, found = read_annotations(holder, level)
        self.problems.extend(found)
        unknown = [
            name
            for name in options.values.get("environments", ())
            if name not in self.known_environments
        ]
        for name in unknown:
            some = f"write any of {', '.join(self.known_environments)}"
            hint = guess(name, self.known_environments, some)
            place = options.places["environments"]
            message = f"environments: no environment is named {name!r}"
            self.problems.add(Code.INVALID_OPTION, place, message, hint)
        return replace(options, wrong=True) if unknown else options

    @cached_property
    def known_environments(self) -> list[str]:
        entries = self.entries("environments", validation.check_environment)
        return [each["name"] for each in entries if isinstance(each["name"], str)]

    def entries(self, key: str, check: Callable[[YamlMap, Problems], None]) -> Iterator[YamlMap]:
        values = self.data.get(key)
        for value in values if isinstance(values, YamlList) else ():
            if validation.is_accepted(value, check):
                yield value

    def environments(self) -> Iterator[Environment]:
        for entry in self.entries("environments", validation.check_environment):
            if not isinstance(entry["name"], str):
                message = f"the name {shown(entry['name'])} of an environment must be a string"
                self.problems.add(Code.INVALID_NAME, entry.at("name"), message, "quote it")
                continue
            suffix = _nonempty_string(entry.get("state_id_suffix"))
            options = self.options(entry, Level.ENVIRONMENT)
            yield Environment(entry["name"], suffix, options, entry)

    def jobs(self) -> Iterator[Job]:
        for entry in self.entries("jobs", validation.check_job):
            options = self.options(entry, Level.JOB)
            yield Job(entry["name"], entry["tasks"], options, entry, entry.location)

    def schedules(self) -> Iterator[Schedule]:
        for entry in self.entries("schedules", validation.check_schedule):
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
