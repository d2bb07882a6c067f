"""When a schedule fires: Meltano's interval names, and cron expressions as Airflow reads them.

A *tick* is a moment at which a cron expression fires. The command line, the timetables in the
scheduler, and the tasks in a worker all use this module; it does not need Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

_CRON_FIELDS = 5
_RANDOM_VALUE = re.compile(r"\b[RH]\b", re.IGNORECASE)
SIX_FIELDS = "a cron expression must have five fields, none for seconds or years"
"""What `wrong_cron` returns for six fields, which croniter and some projects accept."""
_ANY_DATE = datetime(2024, 1, 1, tzinfo=UTC)

INTERVALS: Mapping[str, str | None] = {
    "@once": None,
    "@manual": None,
    "@none": None,
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@midnight": "0 0 * * *",
}
"""The cron expression of each of Meltano's interval names; `None` means "only manually".

To Airflow, `@once` means something else: "immediately, and only once".
Source: CRON_INTERVALS in meltano/core/schedule.py.
"""


def cron_interval(interval: Any) -> Any:
    """Return what Meltano calls the `cron_interval` of an interval, without checking it."""
    if not interval:
        return None
    return INTERVALS.get(interval, interval) if isinstance(interval, str) else interval


def wrong_cron(expression: Any) -> str | None:
    """Return why Airflow, which also uses croniter, would reject a cron expression, if it would.

    Six fields (with seconds) are rejected although croniter accepts them: Meltano's own commands
    reject them, and other tools disagree on which field holds the seconds.
    """
    fields = len(expression.split()) if isinstance(expression, str) else 0
    if fields == _CRON_FIELDS + 1:
        return SIX_FIELDS
    if fields != _CRON_FIELDS:
        return "a cron expression must have five fields"
    return _wrong_fields(expression)


@lru_cache
def _wrong_fields(expression: str) -> str | None:
    if _RANDOM_VALUE.search(expression):
        return "Meltano does not support R and H, which stand for random values"
    try:
        ticks = croniter(expression, _ANY_DATE)
        ticks.get_next()
        ticks.get_prev()
    except CroniterBadDateError:
        return "no date matches it"
    except CroniterError as error:
        return str(error)
    return None


def next_runs(cron: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """Return the next ticks of a cron expression, in its time zone."""
    runs = []
    for _ in range(count):
        after = next_tick(cron, timezone, after)
        runs.append(after.astimezone(ZoneInfo(timezone)))
    return runs


def next_tick(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first tick of a cron expression after a time, in UTC.

    Time zones apply as in Airflow's `CronTriggerTimetable`. When clocks go forward, a tick in the
    skipped hour is delayed by as much as the clocks skip. When clocks go back, a tick in the
    repeated hour fires the second time only; it fires both times if the cron expression is for
    every hour of the day.

    One case differs from Airflow 3.3. An hourly cron expression for some days only
    (`0 * * * 1-5`) keeps to its days when the clocks change between them; Airflow adds a tick on
    Sunday at 23:00 or drops the one on Monday at 00:00.
    """
    zone = ZoneInfo(timezone)
    wall, margin = _wall_clock(after, zone), _largest_shift(after, zone)
    far = croniter(cron, wall + margin).get_next(datetime)
    return min(each for each in _ticks(cron, zone, wall - margin, far) if each > after)


def previous_tick(cron: str, timezone: str, before: datetime) -> datetime:
    """Return the last tick of a cron expression before a time, in UTC; see `next_tick`."""
    zone = ZoneInfo(timezone)
    wall, margin = _wall_clock(before, zone), _largest_shift(before, zone)
    far = croniter(cron, wall - margin).get_prev(datetime)
    return max(each for each in _ticks(cron, zone, far, wall + margin) if each < before)


def _wall_clock(time: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time that a clock on the wall shows."""
    return time.astimezone(zone).replace(tzinfo=None, fold=0)


def _largest_shift(time: datetime, zone: ZoneInfo) -> timedelta:
    """Return by how much the clocks change within a day of a time; mostly zero."""
    around = [time.astimezone(UTC) + timedelta(days=days) for days in (-1, 0, 1)]
    offsets = [_utc_offset(each.astimezone(zone)) for each in around]
    return max(offsets) - min(offsets)


def _utc_offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()


def _shift(wall: datetime, zone: ZoneInfo) -> timedelta:
    """Return by how much the clocks change at a local time.

    The result is positive for a time that they skip, and negative for one that they repeat.
    """
    before, after = (_utc_offset(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return after - before


def _ticks(cron: str, zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the ticks from one local time to another, both included."""
    ticks = croniter(cron, first - timedelta(seconds=1))
    every_hour = ticks.expanded[1] == ["*"]
    for wall in takewhile(lambda each: each <= last, ticks.all_next(datetime)):
        shift = _shift(wall, zone)
        if shift > timedelta():
            earliest = wall if every_hour else _first_skipped(cron, zone, wall)
            yield earliest.replace(tzinfo=zone).astimezone(UTC)
        else:
            yield wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
            if shift and every_hour:
                yield wall.replace(tzinfo=zone).astimezone(UTC)


def _first_skipped(cron: str, zone: ZoneInfo, wall: datetime) -> datetime:
    """Return the first tick that is skipped together with another one; they become one tick."""
    earlier = croniter(cron, wall)
    while _shift(before := earlier.get_prev(datetime), zone) > timedelta():
        wall = before
    return wall


class CronSchedule(Protocol):
    """The fields of a schedule that decide when it fires."""

    @property
    def name(self) -> str:
        """The name of the schedule."""

    @property
    def cron(self) -> str | None:
        """Five cron fields, or `None` for "only manually"."""

    @property
    def timezone(self) -> str:
        """The time zone of the cron fields."""


ScheduleT = TypeVar("ScheduleT", bound=CronSchedule)


def served(schedules: Iterable[ScheduleT], start: datetime, end: datetime) -> tuple[ScheduleT, ...]:
    """Return the schedules that a run serves, in their order.

    A run serves every schedule with a tick in its data interval.

    Args:
        schedules: The schedules of the job.
        start: The start of the data interval. A tick at the start belongs to the previous run.
        end: The end of the data interval. If it equals the start, as with Airflow's own cron
            timetables, only the ticks at that moment count.
    """
    return tuple(each for each, _ in _first_ticks(schedules, start, end))


def interval_of(
    schedules: Iterable[CronSchedule], start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """Return the data interval that the tasks of a run are given: start and end.

    A nightly load that shares its DAG with an hourly one must load a day, not an hour. Each served
    schedule would start the interval one tick before its first tick in the run; the earliest of
    these starts counts. A run that serves no schedule keeps its own interval.

    Args:
        schedules: The schedules of the job.
        start: The start of the run's data interval.
        end: The end of the run's data interval.
    """
    starts = [
        previous_tick(each.cron, each.timezone, first)
        for each, first in _first_ticks(schedules, start, end)
        if each.cron
    ]
    return min(starts, default=start), end


def _first_ticks(
    schedules: Iterable[ScheduleT], start: datetime, end: datetime
) -> Iterator[tuple[ScheduleT, datetime]]:
    """Yield the schedules with a tick after `start` and not after `end`, with its first tick."""
    after = start if start < end else end - timedelta.resolution
    for each in schedules:
        first = each.cron and next_tick(each.cron, each.timezone, after)
        if first and first <= end:
            yield each, first
