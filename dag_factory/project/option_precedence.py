"""Which annotations count for a job or a task, in the order in which the later wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dag_factory.errors import Code, Location, Problem, guess
from dag_factory.options.annotations import Annotations, dag_options, sources, task_options
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.project.model import Environment, Job, Project, Schedule
from dag_factory.project.plugins import Plugin

Sources = dict[str, tuple[Location, ...]]
"""Where each effective option that is set stands, and what is in a mapping: `dag.fail_fast`."""


class OptionLevels:
    """Combines the annotations of one project in one environment."""

    def __init__(self, project: Project, environment: Environment) -> None:
        self._project = project.options
        self._environment = environment.options

    def of_dag(self, source: Job | Schedule) -> DagOptions:
        """Return the effective options of a job, or of a schedule of the older form."""
        return dag_options(self._dag_levels(source))

    def of_task(
        self, source: Job | Schedule, task_id: str, plugins: Iterable[Plugin]
    ) -> TaskOptions:
        """Return the effective options of one of its tasks, which runs these plugins."""
        return task_options(self._task_levels(source, task_id, plugins))

    def of_no_job(self) -> TaskOptions:
        """Return the effective options of a task of the environment that belongs to no job."""
        return task_options([self._project, self._environment])

    def are_right(self, source: Job | Schedule) -> bool:
        """Return whether everything that is said of a job can be read."""
        return not any(each.wrong for each in (source.options, *self._own(source)))

    def dag_sources(self, source: Job | Schedule) -> Sources:
        """Return where the options of a job come from."""
        return sources(self._dag_levels(source), DagOptions)

    def task_sources(
        self, source: Job | Schedule, task_id: str, plugins: Iterable[Plugin]
    ) -> Sources:
        """Return where the options of one of its tasks come from."""
        return sources(self._task_levels(source, task_id, plugins), TaskOptions)

    def _dag_levels(self, source: Job | Schedule) -> Iterator[Annotations]:
        yield self._project
        if isinstance(source, Job):
            yield source.options
        yield self._environment
        yield from self._own(source)

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
        yield from self._own(source)

    def _own(self, source: Job | Schedule) -> Iterator[Annotations]:
        """Yield what the environment says of this job alone."""
        if source.name in self._environment.parts:
            yield self._environment.parts[source.name]


def unknown_parts(
    what: str, holder: Annotations, known: Iterable[str], noun: str
) -> Iterator[Problem]:
    """Yield a problem for each name below `tasks` or `jobs` that there is not."""
    names = [*known]
    for name, part in holder.parts.items():
        if name not in names and part.location is not None:
            some = f"the {noun}s are {', '.join(names)}" if names else "remove it"
            message = f"{what}: there is no {noun} {name!r}"
            yield Problem(Code.INVALID_OPTION, part.location, message, guess(name, names, some))
