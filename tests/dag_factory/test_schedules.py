from dataclasses import replace

from plans import PLAN

from dag_factory.schedules import timetable


def test_without_a_cron_only_a_person_starts_the_job():
    assert timetable(PLAN) is None


def test_one_cron_is_airflows_own_timetable():
    found = timetable(replace(PLAN, crons=("0 6 * * *",)))
    assert type(found).__name__ == "CronTriggerTimetable"


def test_several_crons_are_one_timetable_of_airflow():
    found = timetable(replace(PLAN, crons=("0 6 * * *", "0 18 * * 1")))
    assert type(found).__name__ == "MultipleCronTriggerTimetable"
