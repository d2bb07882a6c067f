"""When a schedule fires: Meltano's words, and cron as Airflow takes it."""

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
_RANDOM = re.compile(r"\b[RH]\b", re.IGNORECASE)
SIX_FIELDS = "a cron expression has five fields, none of them for seconds or years"
"""What `wrong_cron` says of six fields, which croniter and some projects take."""
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)

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
"""Meltano's words for cron expressions; `None` means "only by hand", also for `@once`, which means
"at once, and only once" to Airflow. Source: CRON_INTERVALS in meltano/core/schedule.py."""


def cron_interval(interval: Any) -> Any:
    """Return what Meltano calls the `cron_interval` of an interval; it checks nothing."""
    if not interval:
        return None
    return INTERVALS.get(interval, interval) if isinstance(interval, str) else interval


def wrong_cron(expression: Any) -> str | None:
    """Return why Airflow, which uses croniter too, would refuse a cron expression.

    Six fields (with seconds) are refused although croniter takes them: Meltano's own commands
    refuse them, and other tools disagree on where the seconds stand.
    """
    fields = len(expression.split()) if isinstance(expression, str) else 0
    if fields == _CRON_FIELDS + 1:
        return SIX_FIELDS
    if fields != _CRON_FIELDS:
        return "a cron expression has five fields"
    return _wrong_fields(expression)


@lru_cache
def _wrong_fields(expression: str) -> str | None:
    if _RANDOM.search(expression):
        return "R and H are random, and not Meltano's"
    try:
        ticks = croniter(expression, _SOME_DAY)
        ticks.get_next()
        ticks.get_prev()
    except CroniterBadDateError:
        return "there is no such day"
    except CroniterError as error:
        return str(error)
    return None


def next_runs(cron: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """Return the next runs of a cron expression, in its time zone."""
    runs = []
    for _ in range(count):
        after = next_tick(cron, timezone, after)
        runs.append(after.astimezone(ZoneInfo(timezone)))
    return runs


def next_tick(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first tick of a cron expression later than a time, in UTC.

    The cron expression counts in its time zone as Airflow's `CronTriggerTimetable` does. A tick
    that the clocks skip in spring comes as much later as they skip. Of the hour that they repeat
    in autumn, the second counts, or both where the expression is for every hour of the day.

    Unlike Airflow 3.3, an hourly cron expression for some days only (`0 * * * 1-5`) keeps its days
    when the clocks change between them: Airflow adds a tick on Sunday at 23:00 or drops that of
    Monday at 00:00.
    """
    zone = ZoneInfo(timezone)
    wall, margin = _wall(after, zone), _margin(after, zone)
    far = croniter(cron, wall + margin).get_next(datetime)
    return min(each for each in _ticks(cron, zone, wall - margin, far) if each > after)


def previous_tick(cron: str, timezone: str, before: datetime) -> datetime:
    """Return the last tick of a cron expression earlier than a time, in UTC; see `next_tick`."""
    zone = ZoneInfo(timezone)
    wall, margin = _wall(before, zone), _margin(before, zone)
    far = croniter(cron, wall - margin).get_prev(datetime)
    return max(each for each in _ticks(cron, zone, far, wall + margin) if each < before)


def _wall(time: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock on the wall shows."""
    return time.astimezone(zone).replace(tzinfo=None, fold=0)


def _margin(time: datetime, zone: ZoneInfo) -> timedelta:
    """Return by how much the clocks are set within a day of a time, mostly zero."""
    around = [time.astimezone(UTC) + timedelta(days=days) for days in (-1, 0, 1)]
    offsets = [_offset(each.astimezone(zone)) for each in around]
    return max(offsets) - min(offsets)


def _offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()


def _change(wall: datetime, zone: ZoneInfo) -> timedelta:
    """Return by how much the clocks are set right then: above zero where they skip it."""
    before, after = (_offset(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return after - before


def _ticks(cron: str, zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the ticks from one reading of the clock on the wall to another, both included."""
    ticks = croniter(cron, first - timedelta(seconds=1))
    every_hour = ticks.expanded[1] == ["*"]
    for wall in takewhile(lambda each: each <= last, ticks.all_next(datetime)):
        change = _change(wall, zone)
        if change > timedelta():
            earliest = wall if every_hour else _first_skipped(cron, zone, wall)
            yield earliest.replace(tzinfo=zone).astimezone(UTC)
        else:
            yield wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
            if change and every_hour:
                yield wall.replace(tzinfo=zone).astimezone(UTC)


def _first_skipped(cron: str, zone: ZoneInfo, wall: datetime) -> datetime:
    """Return the first of the ticks that the clocks skip at once: it comes later, once for all."""
    earlier = croniter(cron, wall)
    while _change(before := earlier.get_prev(datetime), zone) > timedelta():
        wall = before
    return wall


class CronSchedule(Protocol):
    """A schedule: what of it says when it fires."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def cron(self) -> str | None:
        """Five cron fields, or `None` for "only by hand"."""

    @property
    def timezone(self) -> str:
        """The time zone in which they count."""


T = TypeVar("T", bound=CronSchedule)


def served(schedules: Iterable[T], start: datetime, end: datetime) -> tuple[T, ...]:
    """Return the schedules that a run serves, in their order.

    Args:
        schedules: Those of a job.
        start: The start of the run's data interval. A tick then was the run's before.
        end: Its end. Where it is the start too, as with Airflow's own timetables for cron, only
            the ticks right then count.
    """
    return tuple(each for each, _ in _first_ticks(schedules, start, end))


def interval_of(
    schedules: Iterable[CronSchedule], start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """Return the data interval that the tasks of a run are told: start and end.

    A nightly load that shares its DAG with an hourly one is to load a day, not an hour. So the
    interval starts with the tick before the first one that the run serves, of each schedule that
    it serves; the earliest of those counts. A run that serves none keeps its own.

    Args:
        schedules: Those of the job.
        start: The start of the run's data interval.
        end: Its end.
    """
    starts = [
        previous_tick(each.cron, each.timezone, first)
        for each, first in _first_ticks(schedules, start, end)
        if each.cron
    ]
    return min(starts, default=start), end


def _first_ticks(
    schedules: Iterable[T], start: datetime, end: datetime
) -> Iterator[tuple[T, datetime]]:
    """Yield the schedules with a tick after `start` and not after `end`, each with its first."""
    after = start if start < end else end - timedelta.resolution
    for each in schedules:
        first = each.cron and next_tick(each.cron, each.timezone, after)
        if first and first <= end:
            yield each, first
