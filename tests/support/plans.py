"""A plan to vary."""

from dag_factory.options.catalog import DagOptions
from dag_factory.planning.plan import DagPlan, ExtractorPlan, SchedulePlan, TaskPlan

_COMMAND = ("meltano", "run", "--no-install")

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
            (*_COMMAND, "tap-a", "target-x"),
            state_ids=("dev:tap-a-to-target-x",),
            assets=("dev:tap-a-to-target-x",),
            extractors=(
                ExtractorPlan(
                    "tap-a", "TAP_A__SELECT_FILTER", "TAP_A_START_DATE", "TAP_A_END_DATE"
                ),
            ),
        ),
        TaskPlan("dbt.run", (*_COMMAND, "dbt:run"), ("tap-a-to-target-x",)),
    ),
)


def schedules(*crons: str) -> tuple[SchedulePlan, ...]:
    """Return a schedule for each cron expression."""
    return tuple(SchedulePlan(f"s{number}", cron, "UTC", {}) for number, cron in enumerate(crons))
