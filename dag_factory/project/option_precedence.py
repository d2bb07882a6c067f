"""The annotations that apply to a job or a task, each overriding those before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dag_factory.errors import Code, Location, Problems, guess
from dag_factory.options.annotations import Annotations, dag_options, sources, task_options
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.project.model import Environment, Job, Project, Schedule
from dag_factory.project.plugins import Plugin

Sources = dict[str, tuple[Location, ...]]
"""The places that set each effective option, and each key of a mapping, as `dag.fail_fast`."""


class OptionLevels:
    """Combines the annotations of one project in one environment."""

    def __init__(self, project: Project, environment: Environment) -> None:
        self._project = project.options
        self._environment = environment.options

    def of_dag(self, source: Job | Schedule) -> DagOptions:
        """Return the effective options of a job, or of an ELT schedule."""
        return dag_options(self._dag_levels(source))

    def of_task(
        self, source: Job | Schedule, task_id: str, plugins: Iterable[Plugin]
    ) -> TaskOptions:
        """Return the effective options of a task of a job. The task runs these plugins."""
        return task_options(self._task_levels(source, task_id, plugins))

    def of_environment(self) -> TaskOptions:
        """Return the effective options of a task that belongs to the environment, not to a job."""
        return task_options([self._project, self._environment])

    def options_are_valid(self, source: Job | Schedule) -> bool:
        """Return whether every option of a job is valid."""
        return not any(each.wrong for each in (source.options, *self._of_environment_for(source)))

    def dag_sources(self, source: Job | Schedule) -> Sources:
        """Return the places that set the options of a job."""
        return sources(self._dag_levels(source), DagOptions)

    def task_sources(
        self, source: Job | Schedule, task_id: str, plugins: Iterable[Plugin]
    ) -> Sources:
        """Return the places that set the options of a task of a job."""
        return sources(self._task_levels(source, task_id, plugins), TaskOptions)

    def _dag_levels(self, source: Job | Schedule) -> Iterator[Annotations]:
        yield self._project
        if isinstance(source, Job):
            yield source.options
        yield self._environment
        yield from self._of_environment_for(source)

    def _task_levels(
        self, source: Job | Schedule, task_id: str, plugins: Iterable[Plugin]
    ) -> Iterator[Annotations]:
        yield self._project
        for plugin in reversed([*plugins]):
            yield plugin.options
        if isinstance(source, Job):
            yield source.options
            yield from filter(None, [source.options.parts.get(task_id)])
        yield self._environment
        yield from self._of_environment_for(source)

    def _of_environment_for(self, source: Job | Schedule) -> Iterator[Annotations]:
        """Yield the options that the environment sets for this job only."""
        if source.name in self._environment.parts:
            yield self._environment.parts[source.name]


def report_unknown_parts(
    what: str, holder: Annotations, known: Iterable[str], noun: str, problems: Problems
) -> bool:
    """Report each name below `tasks` or `jobs` that is not known; return whether there is one."""
    names = [*known]
    unknown = [
        (name, part.location)
        for name, part in holder.parts.items()
        if name not in names and part.location is not None
    ]
    for name, place in unknown:
        some = f"the {noun}s are {', '.join(names)}" if names else "remove it"
        message = f"{what}: no {noun} is named {name!r}"
        problems.add(Code.INVALID_OPTION, place, message, guess(name, names, some))
    return bool(unknown)
