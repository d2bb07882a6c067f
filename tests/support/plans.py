"""A plan to vary."""

from dag_factory.options import Options
from dag_factory.plan import DagPlan, SchedulePlan, TaskPlan

_COMMAND = ("meltano", "run", "--no-install")

PLAN = DagPlan(
    dag_id="load",
    job="load",
    file="meltano.yml",
    line=1,
    environment="dev",
    schedules=(),
    options=Options(),
    tasks=(
        TaskPlan("tap-a-to-target-x", (*_COMMAND, "tap-a", "target-x")),
        TaskPlan("dbt.run", (*_COMMAND, "dbt:run"), ("tap-a-to-target-x",)),
    ),
)


def schedules(*crons: str) -> tuple[SchedulePlan, ...]:
    """Return a schedule for each cron expression."""
    return tuple(SchedulePlan(f"s{number}", cron, "UTC", {}) for number, cron in enumerate(crons))
