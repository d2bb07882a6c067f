"""From the schedules of a job to what Airflow calls the schedule of a DAG.

Airflow's `@once` means "run once, at once" and Meltano's "only by hand", so a preset never reaches
Airflow: the plan holds five-field crons only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import (
    Asset,
    AssetAll,
    AssetAny,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    MultipleCronTriggerTimetable,
)

from dag_factory.planning.plan import DagPlan

if TYPE_CHECKING:
    from airflow.sdk.bases.timetable import BaseTimetable


def dag_schedule(plan: DagPlan) -> Any:
    """Return what starts a job: its schedules, the jobs that it runs after, or both.

    `None` is for a job that is started by hand. A nightly job that is added at noon waits for the
    night: Airflow runs a new schedule at once only where its last tick is just past, by a tenth of
    the interval, or five minutes.
    """
    if plan.after is None:
        return _timetable(plan)
    assets = [job_asset(dag_id) for dag_id in plan.after.jobs]
    condition = AssetAny(*assets) if plan.after.any else AssetAll(*assets)
    timetable = _timetable(plan)
    return AssetOrTimeSchedule(timetable=timetable, assets=condition) if timetable else condition


def _timetable(plan: DagPlan) -> BaseTimetable | Any:
    match plan.crons:
        case ():
            return None
        case (cron,) if plan.is_uniform:
            return CronTriggerTimetable(cron, timezone=plan.timezones[0])
        case crons if plan.is_uniform:
            return MultipleCronTriggerTimetable(*crons, timezone=plan.timezones[0])
    from dag_factory.airflow.timetables import MeltanoTimetable  # noqa: PLC0415 - for the few that need it

    return MeltanoTimetable([(each.name, each.cron or "", each.timezone) for each in plan.timed])


def job_asset(dag_id: str) -> Asset:
    """Return the asset that says that a job is done."""
    return Asset(name=dag_id, uri=f"meltano://jobs/{quote(dag_id)}")


def pair_asset(name: str) -> Asset:
    """Return the asset that an extractor and a loader keep up to date."""
    return Asset(name=name, uri=f"meltano://pairs/{quote(name, safe=':')}")
