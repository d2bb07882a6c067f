"""From a project to the plan of its DAGs: pure and ordered.

One DAG per job, one task per item of its `tasks`, chained in their order. Items that are no
complete block sequence by themselves are joined until they are, so that the commands, put end to
end, are exactly what `meltano run JOB` would run
(https://docs.meltano.com/reference/command-line-interface#run). A schedule of the older form, with
`extractor` and `loader`, is a DAG of its own name that runs `meltano elt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from typing import Any, TypeVar

from dag_factory.blocks import Blocks, Grammar, pairs
from dag_factory.digests import task_digest
from dag_factory.errors import Code, Location, Problem, guess, in_order, shown
from dag_factory.hygiene import wrong_secrets
from dag_factory.options import layer
from dag_factory.plan import DagPlan, SchedulePlan, TaskPlan, legal_id
from dag_factory.plugins import Plugin
from dag_factory.problems import without_ignored
from dag_factory.project import Environment, Job, Project, Schedule, read_project
from dag_factory.schedule_plans import plan_schedule, plan_schedules, runs_in
from dag_factory.settings import Settings
from dag_factory.shapes import STATE_ID_DELIMITER
from dag_factory.unread import unread_keys

_RUN = ("meltano", "run", "--no-install")
_ELT = ("meltano", "elt", "--no-install")
_TRANSFORMS = ("skip", "only", "run")
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
    plans, unplanned = plan_project(project, settings)
    found = in_order((*problems, *unplanned, *wrong_secrets(project), *unread_keys(project)))
    return plans, without_ignored(found)


def plan_project(
    project: Project, settings: Settings
) -> tuple[tuple[DagPlan, ...], tuple[Problem, ...]]:
    """Plan every job of a project.

    Returns:
        A plan for each job that can run, and a problem for each that cannot.
    """
    environment, problems = _chosen_environment(project, settings)
    if environment is None:
        return (), problems
    planner = _Planner(project, environment)
    plans = tuple(planner.plans())
    return plans, in_order((*problems, *planner.problems))


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


class _Planner:
    """Plans the jobs of one environment; collects problems instead of stopping at one."""

    def __init__(self, project: Project, environment: Environment) -> None:
        self.project = project
        self.environment = environment
        self.grammar = Grammar(project)
        self.problems: list[Problem] = []
        self.states: dict[str, tuple[str, Location]] = {}
        self.undefined: set[str] = set()
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

    def plans(self) -> Iterator[DagPlan]:
        """Plan the jobs, then the schedules of the older form."""
        schedules, conflicting, problems = plan_schedules(
            [each for each in self.schedules if each.job and not self.is_refused(each.job)],
            self.jobs,
            self.project.options,
            self.environment.name,
        )
        self.problems.extend(problems)
        for job in self.jobs.values():
            sequences, wrong = self.grammar.sequences(job)
            self.problems.extend(wrong)
            runs = sequences and job.name not in conflicting and self.has_state_ids(sequences)
            if runs and job.options is not None and runs_in(self.environment.name, job.options):
                tasks = self.tasks(job.name, sequences)
                yield self.dag(job, job.options, tasks, schedules.get(job.name, ()))
        for schedule in self.schedules:
            if schedule.job is None:
                yield from self.older_schedule(schedule)

    def is_refused(self, name: Any) -> bool:
        """Return whether a name is unknown only because Meltano refuses what has it."""
        return isinstance(name, str) and name not in self.jobs and name in self.project.refused

    def dag(
        self,
        source: Job | Schedule,
        options: Mapping[str, Any],
        tasks: tuple[TaskPlan, ...],
        schedules: Iterable[SchedulePlan],
    ) -> DagPlan:
        return DagPlan(
            dag_id=legal_id(source.name),
            job=source.name,
            file=str(source.location.file.relative_to(self.project.root)),
            line=source.location.line,
            environment=self.environment.name,
            schedules=tuple(schedules),
            options=layer([self.project.options, options]),
            tasks=tasks,
        )

    def tasks(self, job: str, sequences: Iterable[Blocks]) -> tuple[TaskPlan, ...]:
        tasks: list[TaskPlan] = []
        used: set[str] = set()
        for blocks in sequences:
            name = "-to-".join(each.text for each in blocks).replace(":", ".")
            names = chain([name], (f"{name}.{number}" for number in count(2)))
            task_id = next(each for each in map(legal_id, names) if each not in used)
            used.add(task_id)
            tasks.append(
                TaskPlan(
                    task_id=task_id,
                    argv=(*_RUN, *(each.text for each in blocks)),
                    upstream=tuple(each.task_id for each in tasks[-1:]),
                    state_ids=tuple(dict.fromkeys(self.state_ids(job, blocks))),
                    secrets=self.secrets(each.plugin for each in blocks),
                    digest=self.digest(each.plugin for each in blocks),
                )
            )
        return tuple(tasks)

    def state_ids(self, job: str, blocks: Blocks) -> Iterator[str]:
        for extractor, loader in pairs(blocks):
            pair = f"{extractor.plugin.name}-to-{loader.plugin.name}"
            suffix = self.environment.state_id_suffix
            state_id = ":".join(filter(None, [self.environment.name, pair, suffix]))
            other, place = self.states.setdefault(state_id, (job, extractor.location))
            if other != job:
                at = place.text(self.project.root)
                message = (
                    f"job {job!r} shares the state and lock {state_id!r} with {other!r} ({at})"
                )
                hint = "give it an extractor of its own, with inherit_from"
                self.report(Code.SHARED_STATE, extractor.location, message, hint)
            yield state_id

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

    def secrets(self, plugins: Iterable[Plugin]) -> tuple[str, ...]:
        found = []
        for plugin in plugins:
            if plugin.commands is None and plugin.name not in self.undefined:
                self.undefined.add(plugin.name)
                self.report(Code.NO_DEFINITION, *self.undefined_plugin(plugin))
            found += [setting.env_vars[0] for setting in plugin.settings if setting.sensitive]
        return tuple(dict.fromkeys(found))

    def digest(self, plugins: Iterable[Plugin]) -> str:
        return task_digest(self.project, self.environment, plugins)

    def undefined_plugin(self, plugin: Plugin) -> tuple[Location, str, str]:
        """Return where, what and what to do of a plugin that the project does not define."""
        if plugin.broken_lock:
            file = plugin.broken_lock.relative_to(self.project.root)
            message = f"the lock file {file} of the plugin {plugin.name!r} is no JSON object"
            return plugin.location, message, "write it anew with `meltano lock --update`"
        parent = plugin.entry.get("inherit_from")
        known = [each.name for each in self.project.plugins if each.type == plugin.type]
        known.remove(plugin.name)
        hint = "write its lock file with `meltano lock`, or Meltano asks its Hub each time"
        if not isinstance(parent, str) or parent in ("", *known):
            message = f"no definition of the plugin {plugin.name!r} is in the project"
            return plugin.location, message, hint
        message = f"{plugin.name!r} inherits from {parent!r}, which the project does not define"
        return plugin.entry.at("inherit_from"), message, guess(parent, known, hint)

    def older_schedule(self, schedule: Schedule) -> Iterator[DagPlan]:
        """Plan a schedule that has an extractor and a loader instead of a job."""
        planned, problems = plan_schedule(schedule, [self.project.options])
        plugins = self.elt_plugins(schedule)
        self.problems.extend(problems)
        if schedule.name in self.jobs:
            message = f"the schedule {schedule.name!r} has the name of a job"
            hint = (
                "rename it: its DAG would have the id of the job's; its name is its state ID, too"
            )
            self.report(Code.NAME_TAKEN, schedule.entry.at("name"), message, hint)
        elif planned and plugins and runs_in(self.environment.name, schedule.options or {}):
            task = TaskPlan(
                task_id=legal_id("-to-".join(plugin.name for plugin in plugins)),
                argv=(*_ELT, *schedule.elt_args),
                state_ids=(schedule.name,),
                secrets=self.secrets(plugins),
                digest=self.digest(plugins),
            )
            yield self.dag(schedule, {}, (task,), [planned])

    def elt_plugins(self, schedule: Schedule) -> tuple[Plugin, ...]:
        """Return the extractor and the loader, or none where one does not exist."""
        found = []
        for kind, key in (("extractors", "extractor"), ("loaders", "loader")):
            name = schedule.entry[key]
            known = {each.name: each for each in self.project.plugins if each.type == kind}
            if isinstance(name, str) and name in known:
                found.append(known[name])
                continue
            if self.is_refused(name):
                continue
            hint = guess(name, known, "add the plugin to the project")
            message = f"schedule {schedule.name!r}: there is no {key} {shown(name)}"
            self.report(Code.UNKNOWN_PLUGIN, schedule.entry.at(key), message, hint)
        if schedule.entry["transform"] not in _TRANSFORMS:
            written = shown(schedule.entry["transform"])
            message = f"schedule {schedule.name!r}: transform is {written}"
            hint = f"write one of {', '.join(_TRANSFORMS)}"
            self.report(Code.INVALID_TASKS, schedule.entry.at("transform"), message, hint)
            return ()
        return tuple(found) if len(found) == len(("extractor", "loader")) else ()
