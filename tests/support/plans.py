"""A plan to vary, and the plans of a project."""

from dag_factory.errors import Problem
from dag_factory.options.catalog import DagOptions
from dag_factory.planning.plan import DagPlan, ExtractorPlan, SchedulePlan, TaskKind, TaskPlan
from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings

PLAN = DagPlan(
    dag_id="load",
    job="load",
    name="load",
    file="meltano.yml",
    line=1,
    environment="dev",
    link=None,
    schedules=(),
    after=None,
    options=DagOptions(),
    tasks=(
        TaskPlan(
            "tap-a-to-target-x",
            TaskKind.RUN,
            blocks=("tap-a", "target-x"),
            state_ids=("dev:tap-a-to-target-x",),
            assets=("dev:tap-a-to-target-x",),
            extractors=(
                ExtractorPlan(
                    "tap-a", "TAP_A__SELECT_FILTER", "TAP_A_START_DATE", "TAP_A_END_DATE"
                ),
            ),
        ),
        TaskPlan("dbt.run", TaskKind.RUN, ("dbt:run",), upstream=("tap-a-to-target-x",)),
    ),
)


def schedules(*crons: str) -> tuple[SchedulePlan, ...]:
    """Return a schedule for each cron expression."""
    return tuple(SchedulePlan(f"s{number}", cron, "UTC", {}) for number, cron in enumerate(crons))


def plans_and_problems(settings: Settings) -> tuple[tuple[DagPlan, ...], tuple[Problem, ...]]:
    """Return the plans of a project, and everything that `meltano-dags check` says of it."""
    planned = check_project(settings)
    return planned.plans, planned.problems
