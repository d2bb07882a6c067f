from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from hypothesis import given, settings
from hypothesis import strategies as st

from dag_factory.cron import interval_of, next_runs, next_tick, previous_tick, served
from dag_factory.planning.plan import SchedulePlan

# The days on which the clocks change.
PRAGUE = ("Europe/Prague", "2026-03-29", "2026-10-25")
NEW_YORK = ("America/New_York", "2026-03-08", "2026-11-01")
# In Havana, midnight itself is skipped and repeated.
HAVANA = ("America/Havana", "2026-03-08", "2026-11-01")
CHANGES = [(zone, day) for zone, *days in (PRAGUE, NEW_YORK, HAVANA) for day in days]
CRONS = [
    *("0 * * * *", "*/30 * * * *", "30 2 * * *", "0 3 * * *", "15 1,2,3 * * *"),
    *("0 0 * * *", "*/30 2 * * *", "*/20 0-2 * * *", "45 2 * * 0", "0 0 1 * *", "7 */2 * * *"),
]


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def airflows_ticks(cron, zone, first, last):
    timetable = CronTriggerTimetable(cron, timezone=zone)
    restriction = TimeRestriction(None, pendulum.instance(last), catchup=True)
    interval = DataInterval.exact(pendulum.instance(first))
    while info := timetable.next_dagrun_info(
        last_automated_data_interval=interval, restriction=restriction
    ):
        interval = info.data_interval
        yield info.run_after


def our_ticks(cron, zone, first, last):
    while (first := next_tick(cron, zone, first)) <= last:
        yield first


def around(day):
    middle = at(day)
    return middle - timedelta(days=2), middle + timedelta(days=3)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("cron", CRONS)
def test_ticks_are_airflows_when_the_clocks_change(cron, zone, day):
    first, last = around(day)
    assert list(our_ticks(cron, zone, first, last)) == list(airflows_ticks(cron, zone, first, last))


def field(last):
    numbers = st.integers(0, last)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.sampled_from([2, 5, 20, 30]).map("*/{}".format),
        st.lists(numbers, min_size=2, max_size=3).map(lambda some: ",".join(map(str, some))),
        st.tuples(numbers, numbers).map(lambda two: f"{min(two)}-{max(two)}"),
    )


# At one or three minutes of some hours, so that the days do not take long.
@given(st.one_of(st.integers(0, 59).map(str), st.just("*/20")), field(6), st.sampled_from(CHANGES))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_any_cron_expression_for_some_hours_has_airflows_ticks(minute, hour, change):
    zone, day = change
    first, last = around(day)
    cron = f"{minute} {hour} * * *"
    assert list(our_ticks(cron, zone, first, last)) == list(airflows_ticks(cron, zone, first, last))


@given(field(59), field(23), field(6), st.sampled_from(CHANGES), st.integers(-9000, 9000))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_next_and_previous_ticks_agree(minute, hour, weekday, change, minutes):
    zone, day = change
    cron = f"{minute} {hour} * * {weekday}"
    time = at(day) + timedelta(minutes=minutes)
    past, coming = previous_tick(cron, zone, time), next_tick(cron, zone, time)
    middle = next_tick(cron, zone, past)
    assert past < time < coming
    assert middle in (time, coming)
    assert previous_tick(cron, zone, coming) == (past if middle == coming else time)
    assert next_tick(cron, zone, coming - timedelta(seconds=1)) == coming
    assert previous_tick(cron, zone, past + timedelta(seconds=1)) == past


def test_an_hourly_schedule_of_weekdays_keeps_its_days_when_the_clocks_change():
    friday, monday = at("2026-10-23 23:00", "Europe/Prague"), at("2026-10-26", "Europe/Prague")
    assert next_tick("0 * * * 1-5", "Europe/Prague", friday) == monday


def test_next_runs_are_in_the_time_zone_of_the_schedule():
    runs = next_runs("30 2 * * *", "Europe/Prague", at("2026-03-28"), 3)
    assert [run.strftime("%d %H:%M %Z") for run in runs] == [
        "28 02:30 CET",
        "29 03:30 CEST",
        "30 02:30 CEST",
    ]


NIGHTLY = SchedulePlan("nightly", "0 2 * * *", "Europe/Prague", {})
HOURLY = SchedulePlan("hourly", "0 * * * *", "UTC", {})
WEEKLY = SchedulePlan("weekly", "0 0 * * 0", "UTC", {})
MANUAL = SchedulePlan("manual", None, "UTC", {})
ALL = (WEEKLY, NIGHTLY, MANUAL, HOURLY)


@pytest.mark.parametrize(
    ("start", "end", "names"),
    [
        ("2026-05-05 12:00", "2026-05-05 13:00", ["hourly"]),
        ("2026-05-04 23:00", "2026-05-05 00:00", ["nightly", "hourly"]),
        ("2026-05-05 00:00", "2026-05-05 01:00", ["hourly"]),
        ("2026-05-04 22:00", "2026-05-05 04:00", ["nightly", "hourly"]),
        ("2026-05-02 23:00", "2026-05-05 04:00", ["weekly", "nightly", "hourly"]),
        ("2026-05-05 12:00:01", "2026-05-05 12:59", []),
    ],
)
def test_a_run_serves_the_schedules_with_a_tick_in_its_interval(start, end, names):
    assert [each.name for each in served(ALL, at(start), at(end))] == names


@pytest.mark.parametrize(
    ("time", "names"),
    [
        ("2026-05-05 00:00", ["nightly", "hourly"]),
        ("2026-05-05 01:00", ["hourly"]),
        ("2026-05-05 01:00:01", []),
    ],
)
def test_a_run_of_airflows_own_timetable_serves_the_schedules_with_a_tick_at_that_moment(
    time, names
):
    assert [each.name for each in served(ALL, at(time), at(time))] == names
    moment = pendulum.instance(at(time))
    assert [each.name for each in served(ALL, moment, moment)] == names


@pytest.mark.parametrize(
    ("start", "end", "since"),
    [
        ("2026-05-05 12:00", "2026-05-05 13:00", "2026-05-05 12:00"),
        ("2026-05-05 13:00", "2026-05-05 13:00", "2026-05-05 12:00"),
        ("2026-05-05 12:00:01", "2026-05-05 13:00", "2026-05-05 12:00"),
        ("2026-05-05 00:00", "2026-05-05 00:00", "2026-05-04 00:00"),
        ("2026-05-04 23:00", "2026-05-05 04:00", "2026-05-04 00:00"),
        ("2026-05-02 23:00", "2026-05-05 04:00", "2026-04-26 00:00"),
        ("2026-05-05 12:10", "2026-05-05 12:50", "2026-05-05 12:10"),
    ],
)
def test_the_interval_given_to_tasks_starts_a_period_before_the_first_tick(start, end, since):
    assert interval_of(ALL, at(start), at(end)) == (at(since), at(end))


def test_the_interval_covers_the_whole_of_a_longer_day():
    end = at("2026-10-26 02:00", "Europe/Prague")
    start, _ = interval_of([NIGHTLY], end, end)
    # The second 02:00 of the day.
    assert end - start == timedelta(hours=24)
    assert interval_of([NIGHTLY], start, start)[0] == start - timedelta(hours=25)


def test_intervals_that_follow_each_other_serve_every_tick_once():
    ticks = list(our_ticks(NIGHTLY.cron, NIGHTLY.timezone, *around("2026-10-25")))
    for start, end in pairwise(ticks):
        assert served([NIGHTLY], start, end) == (NIGHTLY,)
        assert interval_of([NIGHTLY], start, end) == (start, end)
