from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import AssetAll, AssetAny, AssetOrTimeSchedule
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from dag_factory.airflow.build import build_dag
from dag_factory.airflow.schedules import dag_schedule
from dag_factory.options.values import After
from tests.support.plans import PLAN, schedules


def test_a_job_without_a_cron_expression_has_no_schedule():
    assert dag_schedule(PLAN) is None


def test_one_cron_expression_uses_airflows_own_timetable():
    found = dag_schedule(replace(PLAN, schedules=schedules("0 6 * * *")))
    assert type(found).__name__ == "CronTriggerTimetable"


def first_tick(hours_from_now):
    hour = (datetime.now(UTC) + timedelta(hours=hours_from_now)).hour
    dag = build_dag(replace(PLAN, schedules=schedules(f"0 {hour} * * *")), Path())
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
    info = stored.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=restriction
    )
    assert (info.run_after.hour, info.run_after.utcoffset()) == (hour, timedelta())
    return info.run_after


def test_a_new_schedule_waits_for_its_next_tick_in_utc():
    assert first_tick(hours_from_now=6) > datetime.now(UTC)


def test_a_new_dag_runs_for_a_tick_that_is_just_past():
    assert first_tick(hours_from_now=0) <= datetime.now(UTC)


AFTER = After(("first", "second"))


@pytest.mark.parametrize(
    ("after", "condition"), [(AFTER, AssetAll), (replace(AFTER, any=True), AssetAny)]
)
def test_a_job_runs_after_all_or_any_of_the_others_with_or_without_a_cron_expression(
    after, condition
):
    alone = dag_schedule(replace(PLAN, after=after))
    assert type(alone) is condition
    assert [asset.name for asset in alone.objects] == ["first", "second"]
    both = dag_schedule(replace(PLAN, after=after, schedules=schedules("0 6 * * *")))
    assert type(both) is AssetOrTimeSchedule
    assert type(both.asset_condition) is condition
    assert both.timetable.expression == "0 6 * * *"


def test_several_cron_expressions_use_airflows_own_timetable():
    found = dag_schedule(replace(PLAN, schedules=schedules("0 6 * * *", "0 18 * * 1")))
    assert type(found).__name__ == "MultipleCronTriggerTimetable"
