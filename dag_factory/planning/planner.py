"""Plans the DAGs of one environment: pure and ordered.

Each job gets one DAG. Each item of its `tasks` gets one task, and the tasks follow one another in
that order. Items that are not a complete block sequence by themselves are joined until they are, so
that the commands together are exactly what `meltano run JOB` would run
(https://docs.meltano.com/reference/command-line-interface#run). A schedule that has an `extractor`
and a `loader` instead of a job (an *ELT schedule*) gets a DAG of its own, which runs `meltano elt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from dag_factory.checks.ineffective_options import check_deadline_recipients
from dag_factory.errors import Code, Location, Problems, shown
from dag_factory.planning.dependencies import resolve_after
from dag_factory.planning.plan import DagPlan, SchedulePlan, TaskPlan, legal_id
from dag_factory.planning.schedules import elt_plugins, plan_schedule, plan_schedules, runs_in
from dag_factory.planning.tasks import TaskPlanner
from dag_factory.project.entry_shapes import STATE_ID_DELIMITER
from dag_factory.project.model import Environment, Job, Project, Schedule
from dag_factory.project.option_precedence import OptionLevels, report_unknown_parts
from dag_factory.project.task_grammar import Blocks, Grammar, pairs
from dag_factory.settings import Settings

_Named = TypeVar("_Named", Job, Schedule)


def _fires(schedule: SchedulePlan | Schedule) -> bool:
    cron = schedule.cron if isinstance(schedule, SchedulePlan) else schedule.cron_interval
    return bool(cron)


class Planner:
    """Plans the jobs of one environment, and reports every problem instead of stopping at one.

    Attributes:
        definitions: The job or ELT schedule that each planned DAG is made from, by its name.
        levels: The options that apply to each job.
        tasks: The planner of the jobs' tasks.
    """

    def __init__(
        self, project: Project, environment: Environment, settings: Settings, problems: Problems
    ) -> None:
        self.project = project
        self.environment = environment
        self.settings = settings
        self.problems = problems
        self.grammar = Grammar(project)
        self.levels = OptionLevels(project, environment)
        self.tasks = TaskPlanner(project, environment, self.levels, settings, problems)
        self.definitions: dict[str, Job | Schedule] = {}
        self.jobs = {each.name: each for each in self._first_named(project.jobs, "jobs")}
        self.schedules = tuple(self._first_named(project.schedules, "schedules"))
        self._report_ignored()

    def plans(self) -> tuple[DagPlan, ...]:
        """Plan the jobs, then the ELT schedules."""
        of_jobs = [each for each in self.schedules if each.job and not self._is_rejected(each.job)]
        elt = [each for each in self.schedules if not each.job]
        here = self.environment.name
        schedules = plan_schedules(of_jobs, self.jobs, self.levels, here, self.problems)
        ids = {name: self._dag_id(name, schedules.get(name, ())) for name in self.jobs}
        ids |= {each.name: self._dag_id(each.name, [each]) for each in elt} | ids
        plans = [
            self._dag(job, ids, tasks, schedules.get(job.name, ()))
            for job in self.jobs.values()
            if (tasks := self._job_tasks(job))
        ]
        for schedule in elt:
            plans += self._elt_schedule(schedule, ids)
        self._report_unknown_jobs(ids)
        in_here = {each.name for each in self.jobs.values() if runs_in(here, each.options)}
        in_here |= {each.name for each in elt if runs_in(here, each.options)}
        return resolve_after(
            self._with_unique_ids(plans), ids, in_here, self._place_of_after, self.problems
        )

    def _report_repeated(self, key: str, name: str, place: Location, first: Location) -> None:
        message = f"two {key} are named {name!r}; Meltano uses {first.text(self.project.root)}"
        self.problems.add(Code.DUPLICATE_NAME, place, message, "rename or remove one of them")

    def _first_named(self, entries: Iterable[_Named], key: str) -> Iterator[_Named]:
        """Yield the entries whose name is text; of equal names the first, as Meltano does."""
        found: dict[str, Location] = {}
        for entry in entries:
            name, place = entry.name, entry.entry.at("name")
            if not isinstance(name, str):
                message = f"the name of a {key[:-1]} must be a string, not {shown(name)}"
                hint = "give it a name" if name is None else "quote it"
                self.problems.add(Code.INVALID_NAME, place, message, hint)
            elif name in found:
                self._report_repeated(key, name, place, found[name])
            else:
                found[name] = place
                yield entry

    def _report_ignored(self) -> None:
        """Report plugins and environments whose name an earlier one has; Meltano ignores them."""
        found: dict[tuple[str, str], Location] = {}
        named = [(each.type, each.name, each.entry) for each in self.project.plugins]
        named += [("environments", each.name, each.entry) for each in self.project.environments]
        for key, name, entry in named:
            place = entry.at("name")
            first = found.setdefault((key, name), place)
            if first is not place:
                self._report_repeated(key, name, place, first)

    def _dag_id(self, name: str, schedules: Sequence[SchedulePlan | Schedule]) -> str:
        firing = [each.name for each in schedules if _fires(each)]
        schedule = next(iter([*firing, *(each.name for each in schedules)]), name)
        words = {"job": name, "schedule": schedule, "environment": self.environment.name}
        template = f"{self.settings.dag_id_prefix}{self.settings.dag_id_template}"
        return legal_id(template.format(**words))

    def _job_tasks(self, job: Job) -> tuple[TaskPlan, ...]:
        """Return the tasks of a job; none if it cannot run, or not in this environment."""
        sequences = self.grammar.sequences(job, self.problems)
        if not sequences or not self._has_state_ids(sequences):
            return ()
        if not self.levels.options_are_valid(job):
            return ()
        if not runs_in(self.environment.name, job.options):
            return ()
        tasks = self.tasks.of_job(job, sequences)
        task_ids = [each.task_id for each in tasks]
        what = f"job {job.name!r}"
        unknown = report_unknown_parts(what, job.options, task_ids, "task", self.problems)
        return () if unknown or job.name in self.tasks.unrunnable else tasks

    def _is_rejected(self, name: Any) -> bool:
        """Return whether a name is unknown only because Meltano rejects the entry that has it."""
        return (
            isinstance(name, str) and name not in self.jobs and name in self.project.rejected_names
        )

    def _report_unknown_jobs(self, names: Iterable[str]) -> None:
        """Report the options of environments for jobs that do not exist."""
        known = [*names, *self.project.rejected_names]
        for environment in self.project.environments:
            what = f"environment {environment.name!r}"
            report_unknown_parts(what, environment.options, known, "job", self.problems)

    def _dag(
        self,
        definition: Job | Schedule,
        ids: Mapping[str, str],
        tasks: tuple[TaskPlan, ...],
        schedules: Iterable[SchedulePlan],
    ) -> DagPlan:
        dag_id, url = ids[definition.name], self.settings.repository_url
        file = definition.location.file.relative_to(self.project.root)
        self.definitions[definition.name] = definition
        options = self.levels.of_dag(definition)
        check_deadline_recipients(options, self.levels.dag_sources(definition), self.problems)
        return DagPlan(
            dag_id=dag_id,
            job=definition.name,
            name=f"{self.settings.dag_id_prefix}{definition.name}",
            file=file.as_posix(),
            line=definition.location.line,
            environment=self.environment.name,
            link=f"{url.rstrip('/')}/{quote(file.as_posix())}" if url else None,
            schedules=tuple(schedules),
            after=None,
            options=options,
            tasks=tasks,
        )

    def _elt_schedule(self, schedule: Schedule, ids: Mapping[str, str]) -> Iterator[DagPlan]:
        planned = plan_schedule(schedule, self.levels.of_dag(schedule).timezone, self.problems)
        plugins = elt_plugins(schedule, self.project, self._is_rejected, self.problems)
        if schedule.name in self.jobs:
            message = f"the schedule {schedule.name!r} has the name of a job: both would be one DAG"
            hint = (
                "rename the schedule, and copy its state to the new name: "
                f"`meltano state copy {schedule.name} NEW_NAME`"
            )
            self.problems.add(Code.NAME_TAKEN, schedule.entry.at("name"), message, hint)
        elif (
            planned
            and plugins
            and self.levels.options_are_valid(schedule)
            and runs_in(self.environment.name, schedule.options)
        ):
            task = self.tasks.of_elt_schedule(schedule, plugins)
            if schedule.name not in self.tasks.unrunnable:
                yield self._dag(schedule, ids, (task,), [planned])

    def _with_unique_ids(self, plans: Iterable[DagPlan]) -> Iterator[DagPlan]:
        """Yield the plans whose ID is free; a `dag_id_template` can give two plans the same ID."""
        state_dag_id = legal_id(self.settings.state_dag_id)
        found = {state_dag_id: "the DAG for Meltano's state"}
        for plan in plans:
            if plan.dag_id not in found:
                found[plan.dag_id] = f"job {plan.job!r}"
                yield plan
                continue
            message = f"job {plan.job!r} has the DAG ID of {found[plan.dag_id]}: {plan.dag_id!r}"
            place = Location(self.project.root / plan.file, plan.line)
            is_state = plan.dag_id == state_dag_id
            hint = "rename the job" if is_state else "put {job} into dag_id_template"
            self.problems.add(Code.NAME_TAKEN, place, message, hint)

    def _place_of_after(self, plan: DagPlan) -> Location:
        [place] = self.levels.dag_sources(self.definitions[plan.job])["after"]
        return place

    def _has_state_ids(self, sequences: Iterable[Blocks]) -> bool:
        """Return whether the environment's suffix can be part of the state IDs that are needed."""
        suffix = self.environment.entry.get("state_id_suffix")
        if not suffix or (isinstance(suffix, str) and STATE_ID_DELIMITER not in suffix):
            return True
        place = self.environment.entry.at("state_id_suffix")
        message = f"the state_id_suffix {shown(suffix)} cannot be part of a state ID"
        hint = "write text without a colon" if isinstance(suffix, str) else "quote it"
        self.problems.add(Code.INVALID_STATE_ID, place, message, hint)
        return not any(True for blocks in sequences for _ in pairs(blocks))
