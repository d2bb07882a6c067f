"""Turns the schedules of a job into the schedule of an Airflow DAG, and names its assets.

The DAG processor runs this module, and so does a worker to build the DAG of its task.

The plan holds only cron expressions with five fields, never an interval name: `@once` means "run
once, immediately" to Airflow and "only manually" to Meltano.
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

    The result is `None` for a job that is started manually. A nightly job that is added at noon
    waits for the night: Airflow runs a new DAG immediately only if its cron expression last fired
    within a tenth of the interval, or within five minutes.
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
    from dag_factory.airflow.timetables import MeltanoTimetable  # noqa: PLC0415 - few jobs need it

    return MeltanoTimetable([(each.name, each.cron or "", each.timezone) for each in plan.timed])


def job_asset(dag_id: str) -> Asset:
    """Return the asset that a job updates when it is done."""
    return Asset(name=dag_id, uri=f"meltano://jobs/{quote(dag_id)}")


def pair_asset(name: str) -> Asset:
    """Return the asset that a pair (an extractor and a loader) updates."""
    return Asset(name=name, uri=f"meltano://pairs/{quote(name, safe=':')}")
