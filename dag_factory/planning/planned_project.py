"""Reads a project and plans its DAGs, once; callers ask the result for what they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from dag_factory.checks.plaintext_secrets import check_plaintext_secrets
from dag_factory.checks.reporting import without_ignored
from dag_factory.checks.unread_keys import check_unread_keys
from dag_factory.errors import Code, Problem, Problems, guess, in_order
from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planner import Planner
from dag_factory.planning.state_dag_plan import plan_state
from dag_factory.project.model import Environment, Project, read_project
from dag_factory.project.option_precedence import Sources
from dag_factory.settings import Settings


@dataclass(frozen=True)
class OptionSources:
    """Where the options of one job are set.

    Attributes:
        of_dag: The places of the job's options.
        of_tasks: The places of each task's options, by task ID.
    """

    of_dag: Sources = field(default_factory=dict)
    of_tasks: Mapping[str, Sources] = field(default_factory=dict)


def _no_sources(_: DagPlan) -> OptionSources:
    return OptionSources()


@dataclass(frozen=True)
class PlannedProject:
    """A project as it was read, and the DAGs that Airflow can run from it.

    Attributes:
        project: What could be read; `None` if nothing could.
        plans: A plan for each job that can run.
        state_plan: The plan of the DAG that looks after Meltano's state; `None` if it cannot run.
        problems: All problems in the order of their places, except silenced warnings.
        option_sources: Tells where the options of a plan are set. It returns no places for a job
            that the project does not have, as a last good plan may have one.
    """

    project: Project | None
    plans: tuple[DagPlan, ...] = ()
    state_plan: DagPlan | None = None
    problems: tuple[Problem, ...] = ()
    option_sources: Callable[[DagPlan], OptionSources] = field(
        default=_no_sources, compare=False, repr=False
    )


def read_and_plan(settings: Settings) -> PlannedProject:
    """Read the project of a deployment and plan its DAGs.

    It does not look for plaintext secrets and unread keys: Airflow does not show those warnings.
    """
    return _read_and_plan(settings, with_checks=False)


def check_project(settings: Settings) -> PlannedProject:
    """Read and plan as `read_and_plan` does, and look for plaintext secrets and unread keys."""
    return _read_and_plan(settings, with_checks=True)


def plan_project(project: Project, settings: Settings) -> PlannedProject:
    """Plan the DAGs of a project that has been read.

    The problems are those of planning alone, and none of them is silenced.
    """
    problems = Problems()
    environment = _chosen_environment(project, settings, problems)
    if environment is None:
        return PlannedProject(project, problems=in_order(problems))
    planner = Planner(project, environment, settings, problems)
    plans = planner.plans()
    state_plan = plan_state(project, environment, settings)
    sources = _sources_from(planner)
    return PlannedProject(project, plans, state_plan, in_order(problems), sources)


def _read_and_plan(settings: Settings, *, with_checks: bool) -> PlannedProject:
    project, wrong = read_project(settings.project_root)
    if project is None:
        return PlannedProject(None, problems=wrong)
    planned = plan_project(project, settings)
    problems = Problems()
    problems.extend((*wrong, *planned.problems))
    if with_checks:
        check_plaintext_secrets(project, problems)
        check_unread_keys(project, problems)
    return replace(planned, problems=without_ignored(in_order(problems)))


def _sources_from(planner: Planner) -> Callable[[DagPlan], OptionSources]:
    levels, plugins = planner.levels, planner.tasks.plugins

    def sources(plan: DagPlan) -> OptionSources:
        definition = planner.definitions.get(plan.job)
        if definition is None:
            return OptionSources()
        of_tasks = {
            task.task_id: levels.task_sources(
                definition, task.task_id, plugins[plan.job, task.task_id]
            )
            for task in plan.tasks
            if (plan.job, task.task_id) in plugins
        }
        return OptionSources(levels.dag_sources(definition), of_tasks)

    return sources


def _chosen_environment(
    project: Project, settings: Settings, problems: Problems
) -> Environment | None:
    """Return the environment that the deployment runs; report one that does not exist."""
    environments = {each.name: each for each in reversed(project.environments)}
    default = project.default_environment
    name = settings.environment or default
    names = [*reversed(environments)]
    known = f"one of {', '.join(names)}" if names else "one that you add under `environments`"
    if name not in environments:
        if name not in project.rejected_names:
            by_default = name == default and "default_environment" in project.data
            place = project.data.at("default_environment" if by_default else "environments")
            message = f"no environment is named {name!r}" if name else "no environment is chosen"
            hint = f"choose {known}: by MELTANO_ENVIRONMENT, --environment or default_environment"
            problems.add(Code.UNKNOWN_ENVIRONMENT, place, message, guess(name or "", names, hint))
        return None
    if default not in (None, *environments):
        message = f"default_environment names {default!r}, which does not exist"
        place = project.data.at("default_environment")
        problems.add(Code.UNKNOWN_DEFAULT, place, message, f"set it to {known}")
    return environments[name]
