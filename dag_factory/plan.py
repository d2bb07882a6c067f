"""From a project to what Airflow is to run: pure, ordered, without Airflow.

One DAG per job, one task per item of its `tasks`, chained in their order. Items that are no
complete block sequence by themselves are joined until they are, so that the commands, put end to
end, are exactly what `meltano run JOB` would run
(https://docs.meltano.com/reference/command-line-interface#run).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

from dag_factory.errors import Code, Location, Problem, in_order
from dag_factory.options import Options, layer
from dag_factory.project import Job, Plugin, Project, Schedule, read_project
from dag_factory.settings import Settings

_AIRFLOW_ID = re.compile(r"[\w.-]{1,250}", re.ASCII)
_DIGEST = re.compile(r"\.[0-9a-f]{8}$")
# meltano/core/plugin/base.py: PluginType; a name is looked up in this order.
_PLUGIN_TYPES = (
    *("extractors", "loaders", "transforms", "orchestrators"),
    *("transformers", "files", "utilities", "mappers"),
)
_TASK_COMMAND = ("meltano", "run", "--no-install")


@dataclass(frozen=True)
class TaskPlan:
    """One Airflow task.

    Attributes:
        task_id: From the command, never from the position.
        argv: The command, for a process or container without a shell.
        upstream: The task that runs before, if any.
    """

    task_id: str
    argv: tuple[str, ...]
    upstream: str | None


@dataclass(frozen=True)
class DagPlan:
    """One DAG.

    Attributes:
        dag_id: The job's name, or a legal and unique form of it.
        job: The job's name.
        file: The file that defines the job, relative to the project.
        environment: The Meltano environment that it runs in.
        crons: When it runs; empty means only by hand.
        schedule_env: Variables that scheduled runs get.
        options: How Airflow runs it.
        tasks: In the order of the job.
    """

    dag_id: str
    job: str
    file: str
    environment: str
    crons: tuple[str, ...]
    schedule_env: Mapping[str, str]
    options: Options
    tasks: tuple[TaskPlan, ...]


def read_plans(settings: Settings) -> tuple[tuple[DagPlan, ...], tuple[Problem, ...]]:
    """Read the project of a deployment and plan its jobs.

    Returns:
        A plan for each job that can run, and all problems in the order of their places.
    """
    project, problems = read_project(settings.project_root)
    if project is None:
        return (), problems
    plans, unplanned = plan_project(project, settings)
    return plans, in_order((*problems, *unplanned))


def plan_project(
    project: Project, settings: Settings
) -> tuple[tuple[DagPlan, ...], tuple[Problem, ...]]:
    """Plan every job of a project.

    Returns:
        A plan for each job that can run, and a problem for each that cannot.
    """
    environment = settings.environment or project.default_environment
    known = [each.name for each in project.environments]
    if environment not in known:
        what = (
            f"there is no environment {environment!r}"
            if environment
            else "no environment is chosen"
        )
        names = ", ".join(known) or "one that you add under `environments`"
        hint = f"set MELTANO_ENVIRONMENT or default_environment to {names}"
        return (), (Problem(Code.UNKNOWN_ENVIRONMENT, project.location, what, hint),)
    grammar = _Grammar(project)
    plans: list[DagPlan] = []
    problems: list[Problem] = []
    for job in project.jobs:
        schedules = [each for each in project.schedules if each.job == job.name and each.cron]
        tasks, wrong = grammar.tasks(job)
        wrong = (*wrong, *_conflicts(schedules))
        problems.extend(wrong)
        if not wrong:
            plans.append(
                DagPlan(
                    dag_id=legal_id(job.name),
                    job=job.name,
                    file=str(job.location.file.relative_to(project.root)),
                    environment=environment,
                    crons=tuple(dict.fromkeys(each.cron for each in schedules if each.cron)),
                    schedule_env=dict(schedules[0].env) if schedules else {},
                    options=layer([project.options, job.options]),
                    tasks=tasks,
                )
            )
    problems.extend(grammar.shared_states(project))
    return tuple(plans), in_order(problems)


def legal_id(name: str) -> str:
    """Return `name` where Airflow takes it as an id, else a readable and unique form of it."""
    if _AIRFLOW_ID.fullmatch(name) and not _DIGEST.search(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:200].strip("_") + f".{digest}"


def _conflicts(schedules: Sequence[Schedule]) -> Iterator[Problem]:
    for schedule in schedules[1:]:
        if schedule.env != schedules[0].env:
            names = f"{schedules[0].name!r} and {schedule.name!r}"
            message = f"schedules {names} run one job with different env"
            hint = "give them the same env, or each a job of its own"
            yield Problem(Code.CONFLICTING_SCHEDULES, schedule.location, message, hint)


def _search_order(plugin: Plugin) -> int:
    known = plugin.type in _PLUGIN_TYPES
    return _PLUGIN_TYPES.index(plugin.type) if known else len(_PLUGIN_TYPES)


class _Grammar:
    """Which blocks make a complete sequence.

    Meltano's rule (meltano/core/block/block_parser.py): an extractor, any number of mappings and
    a loader; or one other plugin, with or without a `:command`.
    """

    def __init__(self, project: Project) -> None:
        self.jobs = frozenset(job.name for job in project.jobs)
        self.roles: dict[str, str] = {}
        for plugin in sorted(project.plugins, key=_search_order):
            self.roles.setdefault(plugin.name, plugin.type)
            for mapping in plugin.mappings:
                self.roles.setdefault(mapping, "mappings")

    def role(self, block: str) -> str | None:
        name, _, command = block.partition(":")
        role = self.roles.get(name)
        return None if role == "mappers" or ":" in command else role

    def tasks(self, job: Job) -> tuple[tuple[TaskPlan, ...], tuple[Problem, ...]]:
        """Join the items of a job to tasks."""
        unknown = tuple(self.unknown(job))
        if unknown:
            return (), unknown
        tasks: list[TaskPlan] = []
        used: set[str] = set()
        waiting: list[str] = []
        inside = False
        for blocks, location in zip(job.items, job.locations, strict=True):
            for block in blocks:
                role = self.role(block)
                if inside != (role in ("mappings", "loaders")):
                    return (), (self.broken(job, location, block, inside),)
                inside = role == "extractors" or (inside and role == "mappings")
            waiting.extend(blocks)
            if not inside:
                tasks.append(_task(waiting, used, tasks[-1].task_id if tasks else None))
                waiting = []
        if waiting:
            return (), (self.broken(job, job.locations[-1], None, inside),)
        return tuple(tasks), ()

    def shared_states(self, project: Project) -> Iterator[Problem]:
        """Yield the jobs that run an extractor and loader which an earlier job runs too."""
        users: dict[tuple[str, str], str] = {}
        for job in project.jobs:
            extractor = ""
            for blocks, location in zip(job.items, job.locations, strict=True):
                for block in blocks:
                    if self.role(block) == "extractors":
                        extractor = block
                    elif self.role(block) == "loaders":
                        other = users.setdefault((extractor, block), job.name)
                        if other != job.name:
                            message = f"job {job.name!r} shares the state and lock of job {other!r}"
                            hint = f"give it an extractor of its own: inherit_from: {extractor}"
                            yield Problem(Code.SHARED_STATE, location, message, hint)

    def unknown(self, job: Job) -> Iterator[Problem]:
        for blocks, location in zip(job.items, job.locations, strict=True):
            for block in blocks:
                if self.role(block) is not None and block in self.jobs:
                    message = f"job {job.name!r}: {block!r} is a plugin and a job"
                    yield Problem(Code.UNKNOWN_PLUGIN, location, message, "rename the job")
                elif self.role(block) is None:
                    near = difflib.get_close_matches(block.partition(":")[0], self.roles, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else "add the plugin to the project"
                    message = f"job {job.name!r}: there is no plugin or mapping {block!r}"
                    yield Problem(Code.UNKNOWN_PLUGIN, location, message, hint)

    def broken(self, job: Job, location: Location, block: str | None, inside: bool) -> Problem:
        if block is None:
            what = "it ends after an extractor without a loader"
        elif inside:
            what = f"{block!r} stands where the loader of the extractor before it should"
        else:
            what = f"{block!r} stands without an extractor before it"
        hint = "write `extractor [mapping ...] loader`, or a plugin by itself"
        return Problem(Code.NOT_A_BLOCK_SEQUENCE, location, f"job {job.name!r}: {what}", hint)


def _task(blocks: Sequence[str], used: set[str], upstream: str | None) -> TaskPlan:
    base = legal_id("-to-".join(blocks).replace(":", "-"))
    later = (f"{base}.{number}" for number in count(2))
    task_id = next(each for each in chain([base], later) if each not in used)
    used.add(task_id)
    return TaskPlan(task_id, (*_TASK_COMMAND, *blocks), upstream)
