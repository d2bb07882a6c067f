"""From a project to the plan of its DAGs: pure and ordered.

One DAG per job, one task per item of its `tasks`, chained in their order. Items that are no
complete block sequence by themselves are joined until they are, so that the commands, put end to
end, are exactly what `meltano run JOB` would run
(https://docs.meltano.com/reference/command-line-interface#run). A schedule of the older form, with
`extractor` and `loader`, is a DAG of its own name that runs `meltano elt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from dag_factory.checks.ineffective_options import check_deadline_recipients
from dag_factory.checks.plaintext_secrets import check_plaintext_secrets
from dag_factory.checks.reporting import without_ignored
from dag_factory.checks.unread_keys import check_unread_keys
from dag_factory.errors import Code, Location, Problem, Problems, guess, in_order, shown
from dag_factory.planning.dependencies import resolve_after
from dag_factory.planning.plan import DagPlan, SchedulePlan, TaskPlan, legal_id
from dag_factory.planning.schedules import elt_plugins, plan_schedule, plan_schedules, runs_in
from dag_factory.planning.state_dag_plan import plan_state
from dag_factory.planning.tasks import TaskPlanner
from dag_factory.project.model import Environment, Job, Project, Schedule, read_project
from dag_factory.project.option_precedence import OptionLevels, Sources, unknown_parts
from dag_factory.project.task_grammar import Blocks, Grammar, pairs
from dag_factory.project.validation import STATE_ID_DELIMITER
from dag_factory.settings import Settings

PlanSources = tuple[Sources, dict[str, Sources]]
"""Where the options that are set for a job stand, and those of each of its tasks."""
_ADD_JOB = "put {job} into dag_id_template"
_Named = TypeVar("_Named", Job, Schedule)


def read_plans(settings: Settings) -> tuple[tuple[DagPlan, ...], tuple[Problem, ...]]:
    """Read the project of a deployment and plan its jobs.

    Returns:
        A plan for each job that can run, and all problems in the order of their places, without
        the warnings that a comment silences.
    """
    project, problems = read_project(settings.project_root)
    if project is None:
        return (), problems
    plans, _, unplanned = plan_project(project, settings)
    warnings = Problems()
    check_plaintext_secrets(project, warnings)
    check_unread_keys(project, warnings)
    return plans, without_ignored(in_order((*problems, *unplanned, *warnings)))


def read_all_plans(
    settings: Settings,
) -> tuple[tuple[DagPlan, ...], DagPlan | None, tuple[Problem, ...]]:
    """Read the project of a deployment and plan its jobs, and the DAG that looks after its state.

    Returns:
        The plans of the jobs, that of the DAG for state where it can run, and the problems. Secrets
        and unread keys are not looked for: those are warnings, which Airflow does not show.
    """
    project, problems = read_project(settings.project_root)
    if project is None:
        return (), None, problems
    plans, state, unplanned = plan_project(project, settings)
    return plans, state, without_ignored(in_order((*problems, *unplanned)))


def plan_project(
    project: Project, settings: Settings
) -> tuple[tuple[DagPlan, ...], DagPlan | None, tuple[Problem, ...]]:
    """Plan every job of a project, and the DAG that looks after its state.

    Returns:
        A plan for each job that can run, that of the DAG for state where it can run, and a problem
        for each job that cannot.
    """
    environment, problems = _chosen_environment(project, settings)
    if environment is None:
        return (), None, problems
    planner = _Planner(project, environment, settings)
    plans = planner.plans()
    state = plan_state(project, environment, settings)
    return plans, state, in_order((*problems, *planner.problems, *planner.tasks.problems))


def option_sources(settings: Settings) -> Callable[[DagPlan], PlanSources]:
    """Return a function that tells where the options of a plan come from.

    Of a plan that the project does not have, such as the last good one of a broken project, it
    tells nothing.
    """
    project, _ = read_project(settings.project_root)
    environment = _chosen_environment(project, settings)[0] if project else None
    if project is None or environment is None:
        return lambda _: ({}, {})
    planner = _Planner(project, environment, settings)
    planner.plans()
    levels, plugins = planner.levels, planner.tasks.plugins

    def of_plan(plan: DagPlan) -> PlanSources:
        source = planner.sources.get(plan.job)
        if source is None:
            return {}, {}
        return levels.dag_sources(source), {
            each.task_id: levels.task_sources(source, each.task_id, plugins[plan.job, each.task_id])
            for each in plan.tasks
            if (plan.job, each.task_id) in plugins
        }

    return of_plan


def _chosen_environment(
    project: Project, settings: Settings
) -> tuple[Environment | None, tuple[Problem, ...]]:
    known = {each.name: each for each in reversed(project.environments)}
    default = project.default_environment
    name = settings.environment or default
    names = [*reversed(known)]
    some = f"one of {', '.join(names)}" if names else "one that you add under `environments`"
    if name not in known:
        if name in project.refused:
            return None, ()
        what = f"there is no environment {name!r}" if name else "no environment is chosen"
        hint = f"choose {some}: by MELTANO_ENVIRONMENT, --environment or default_environment"
        by_default = name == default and "default_environment" in project.data
        place = project.data.at("default_environment" if by_default else "environments")
        hint = guess(name or "", names, hint)
        return None, (Problem(Code.UNKNOWN_ENVIRONMENT, place, what, hint),)
    if default in (None, *known):
        return known[name], ()
    message = f"default_environment names {default!r}, which does not exist"
    place = project.data.at("default_environment")
    return known[name], (Problem(Code.UNKNOWN_DEFAULT, place, message, f"set it to {some}"),)


def _fires(schedule: SchedulePlan | Schedule) -> bool:
    cron = schedule.cron if isinstance(schedule, SchedulePlan) else schedule.cron_interval
    return bool(cron)


class _Planner:
    """Plans the jobs of one environment; collects problems instead of stopping at one."""

    def __init__(self, project: Project, environment: Environment, settings: Settings) -> None:
        self.project = project
        self.environment = environment
        self.settings = settings
        self.grammar = Grammar(project)
        self.levels = OptionLevels(project, environment)
        self.tasks = TaskPlanner(project, environment, self.levels, settings)
        self.problems: list[Problem] = []
        self.sources: dict[str, Job | Schedule] = {}
        self.jobs = {each.name: each for each in self.first_named(project.jobs, "jobs")}
        self.schedules = tuple(self.first_named(project.schedules, "schedules"))
        self.repeated()

    def report(self, code: Code, location: Location, message: str, hint: str) -> None:
        self.problems.append(Problem(code, location, message, hint))

    def report_again(self, key: str, name: str, place: Location, first: Location) -> None:
        at = first.text(self.project.root)
        message = f"{name!r} stands in {key} again; Meltano uses {at}"
        self.report(Code.DUPLICATE_NAME, place, message, "rename or remove one")

    def first_named(self, entries: Iterable[_Named], key: str) -> Iterator[_Named]:
        """Yield the entries whose name is text; of those with one name the first, as Meltano."""
        found: dict[str, Location] = {}
        for entry in entries:
            name, place = entry.name, entry.entry.at("name")
            if not isinstance(name, str):
                message = f"an entry of {key} has the name {shown(name)}, which is no text"
                hint = "give it a name" if name is None else "quote it"
                self.report(Code.INVALID_NAME, place, message, hint)
            elif name in found:
                self.report_again(key, name, place, found[name])
            else:
                found[name] = place
                yield entry

    def repeated(self) -> None:
        """Report the plugins and environments that Meltano overlooks: others have their names."""
        found: dict[tuple[str, str], Location] = {}
        named = [(each.type, each.name, each.entry) for each in self.project.plugins]
        named += [("environments", each.name, each.entry) for each in self.project.environments]
        for key, name, entry in named:
            place = entry.at("name")
            first = found.setdefault((key, name), place)
            if first is not place:
                self.report_again(key, name, place, first)

    def plans(self) -> tuple[DagPlan, ...]:
        """Plan the jobs, then the schedules of the older form."""
        of_jobs = [each for each in self.schedules if each.job and not self.is_refused(each.job)]
        older = [each for each in self.schedules if not each.job]
        here = self.environment.name
        schedules, problems = plan_schedules(of_jobs, self.jobs, self.levels, here)
        self.problems += problems
        ids = {name: self.dag_id(name, schedules.get(name, ())) for name in self.jobs}
        ids |= {each.name: self.dag_id(each.name, [each]) for each in older} | ids
        plans = [
            self.dag(job, ids, tasks, schedules.get(job.name, ()))
            for job in self.jobs.values()
            if (tasks := self.job_tasks(job))
        ]
        for schedule in older:
            plans += self.older_schedule(schedule, ids)
        self.unknown_jobs(ids)
        in_here = {each.name for each in self.jobs.values() if runs_in(here, each.options)}
        in_here |= {each.name for each in older if runs_in(here, each.options)}
        good, problems = resolve_after(self.unique(plans), ids, in_here, self.place_of_after)
        self.problems += problems
        return good

    def dag_id(self, name: str, schedules: Sequence[SchedulePlan | Schedule]) -> str:
        firing = [each.name for each in schedules if _fires(each)]
        schedule = next(iter([*firing, *(each.name for each in schedules)]), name)
        words = {"job": name, "schedule": schedule, "environment": self.environment.name}
        template = f"{self.settings.dag_id_prefix}{self.settings.dag_id_template}"
        return legal_id(template.format(**words))

    def job_tasks(self, job: Job) -> tuple[TaskPlan, ...]:
        """Return the tasks of a job, or none where it cannot run or is not for here."""
        sequences, wrong = self.grammar.sequences(job)
        self.problems += wrong
        if not sequences or not self.has_state_ids(sequences) or not self.levels.are_right(job):
            return ()
        if not runs_in(self.environment.name, job.options):
            return ()
        tasks = self.tasks.of_job(job, sequences)
        known = [each.task_id for each in tasks]
        unknown = [*unknown_parts(f"job {job.name!r}", job.options, known, "task")]
        self.problems += unknown
        return () if unknown or job.name in self.tasks.unrunnable else tasks

    def is_refused(self, name: Any) -> bool:
        """Return whether a name is unknown only because Meltano refuses what has it."""
        return isinstance(name, str) and name not in self.jobs and name in self.project.refused

    def unknown_jobs(self, names: Iterable[str]) -> None:
        """Report the jobs that an environment has options for, and that there are not."""
        known = [*names, *self.project.refused]
        for environment in self.project.environments:
            what = f"environment {environment.name!r}"
            self.problems += unknown_parts(what, environment.options, known, "job")

    def dag(
        self,
        source: Job | Schedule,
        ids: Mapping[str, str],
        tasks: tuple[TaskPlan, ...],
        schedules: Iterable[SchedulePlan],
    ) -> DagPlan:
        dag_id, url = ids[source.name], self.settings.repository_url
        file = source.location.file.relative_to(self.project.root)
        self.sources[source.name] = source
        options = self.levels.of_dag(source)
        warnings = Problems()
        check_deadline_recipients(options, self.levels.dag_sources(source), warnings)
        self.problems += warnings
        return DagPlan(
            dag_id=dag_id,
            job=source.name,
            name=f"{self.settings.dag_id_prefix}{source.name}",
            file=file.as_posix(),
            line=source.location.line,
            environment=self.environment.name,
            link=f"{url.rstrip('/')}/{quote(file.as_posix())}" if url else None,
            schedules=tuple(schedules),
            after=None,
            options=options,
            tasks=tasks,
        )

    def older_schedule(self, schedule: Schedule, ids: Mapping[str, str]) -> Iterator[DagPlan]:
        """Plan a schedule that has an extractor and a loader instead of a job."""
        planned, problems = plan_schedule(schedule, self.levels.of_dag(schedule).timezone)
        plugins, wrong = elt_plugins(schedule, self.project, self.is_refused)
        self.problems += (*problems, *wrong)
        if schedule.name in self.jobs:
            message = f"the schedule {schedule.name!r} has the name of a job"
            hint = (
                "rename it: its DAG would have the id of the job's; its name is its state ID, too"
            )
            self.report(Code.NAME_TAKEN, schedule.entry.at("name"), message, hint)
        elif (
            planned
            and plugins
            and self.levels.are_right(schedule)
            and runs_in(self.environment.name, schedule.options)
        ):
            task = self.tasks.of_older_schedule(schedule, plugins)
            if schedule.name not in self.tasks.unrunnable:
                yield self.dag(schedule, ids, (task,), [planned])

    def unique(self, plans: Iterable[DagPlan]) -> Iterator[DagPlan]:
        """Yield the plans; a `dag_id_template` can give two of them one id."""
        of_state = legal_id(self.settings.state_dag_id)
        found = {of_state: "the DAG for Meltano's state"}
        for plan in plans:
            if plan.dag_id not in found:
                found[plan.dag_id] = repr(plan.job)
                yield plan
                continue
            message = f"job {plan.job!r} has the DAG id {plan.dag_id!r} of {found[plan.dag_id]}"
            place = Location(self.project.root / plan.file, plan.line)
            hint = "rename the job" if plan.dag_id == of_state else _ADD_JOB
            self.report(Code.NAME_TAKEN, place, message, hint)

    def place_of_after(self, plan: DagPlan) -> Location:
        [place] = self.levels.dag_sources(self.sources[plan.job])["after"]
        return place

    def has_state_ids(self, sequences: Iterable[Blocks]) -> bool:
        """Return whether Meltano can put the environment's suffix into the state IDs needed."""
        suffix = self.environment.entry.get("state_id_suffix")
        if not suffix or (isinstance(suffix, str) and STATE_ID_DELIMITER not in suffix):
            return True
        place = self.environment.entry.at("state_id_suffix")
        message = f"the state_id_suffix {shown(suffix)} cannot be part of a state ID"
        hint = "write text without a colon" if isinstance(suffix, str) else "quote it"
        self.report(Code.INVALID_STATE_ID, place, message, hint)
        return not any(True for blocks in sequences for _ in pairs(blocks))
