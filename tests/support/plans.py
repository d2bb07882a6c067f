"""A plan to vary."""

from dag_factory.options import Options
from dag_factory.plan import DagPlan, TaskPlan

_COMMAND = ("meltano", "run", "--no-install")

PLAN = DagPlan(
    dag_id="load",
    job="load",
    file="meltano.yml",
    environment="dev",
    crons=(),
    schedule_env={},
    options=Options(),
    tasks=(
        TaskPlan("tap-a-to-target-x", (*_COMMAND, "tap-a", "target-x"), None),
        TaskPlan("dbt-run", (*_COMMAND, "dbt:run"), "tap-a-to-target-x"),
    ),
)
