"""From cron expressions to Airflow's own timetables.

Airflow's `@once` means "run once, at once" and Meltano's "only by hand", so a preset never reaches
Airflow: the plan holds five-field crons only.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, MultipleCronTriggerTimetable

from dag_factory.plan import DagPlan


def timetable(
    plan: DagPlan,
) -> CronTriggerTimetable | MultipleCronTriggerTimetable | None:
    """Return when Airflow starts the job; `None` for a job that is started by hand.

    A nightly job that is added at noon waits for the night. Airflow runs a new schedule at once
    only where its last tick is just past: by a tenth of the interval, or five minutes.
    """
    match plan.crons:
        case ():
            return None
        case (cron,):
            return CronTriggerTimetable(cron, timezone=plan.timezone)
        case crons:
            return MultipleCronTriggerTimetable(*crons, timezone=plan.timezone)
