"""When a schedule fires: Meltano's words, and cron as Airflow takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any
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
    ticks = croniter(cron, after.astimezone(ZoneInfo(timezone)))
    return list(islice(ticks.all_next(datetime), count))
