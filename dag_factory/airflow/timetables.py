"""The timetable of a job whose schedules differ in environment variables or time zone.

Airflow's own timetables serve every other job. The scheduler, the API server and the DAG processor
run this module. Every Airflow process finds the plugin at its end by the entry point
`airflow.plugins`; a scheduler that does not find it exits.

A *tick* is a moment at which the cron expression of a schedule fires.

Source: https://airflow.apache.org/docs/apache-airflow/stable/howto/timetable.html
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import pendulum
from airflow.configuration import conf
from airflow.exceptions import AirflowTimetableInvalid
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.timezone import utcnow
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.timetables.trigger import CronTriggerTimetable
from airflow.utils.types import DagRunType

from dag_factory.cron import next_tick, previous_tick, served, wrong_cron
from dag_factory.planning.plan import legal_id

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction

# As in Airflow's `CronTriggerTimetable`: a new DAG still runs for a tick that is past by at most
# five minutes, or by a tenth of the interval if that is longer.
_LEAST_GRACE = timedelta(minutes=5)
_GRACE_DIVISOR = 10
# Ticks are whole minutes apart, so no tick is skipped.
_AFTER_TICK = timedelta(seconds=1)
# A run's logs are in the folder `run_id=...`, whose name may have 255 characters.
_ALL_NAMES_LENGTH = 150
_NAME_LENGTH = 60
# The column `dag.timetable_description` holds 1000 characters, of which `AssetOrTimeSchedule` uses
# some for its own text.
_DESCRIPTION_LENGTH = 900


class TimetableSchedule(NamedTuple):
    """One schedule of a timetable.

    Attributes:
        name: The name in meltano.yml.
        cron: Five cron fields.
        timezone: The time zone of the cron fields.
    """

    name: str
    cron: str
    timezone: str


class MeltanoTimetable(Timetable):
    """Runs a job whenever one of its schedules is due, and skips no schedule.

    The data interval of a run begins where the interval of the last scheduled or backfilled run
    ended. It ends at the tick that starts the run. With catchup off, all ticks that passed while a
    run was active, or while Airflow was down, lead to one run; it serves every schedule with a tick
    in its interval. With catchup on, each tick has its own run. The run ID names the schedules that
    a run serves; `dag_factory.cron.served` returns them for an interval.

    A new DAG waits for its next tick, unless one is just past, as with `CronTriggerTimetable`.

    Args:
        schedules: The name, cron expression and time zone of each schedule.
    """

    def __init__(self, schedules: Iterable[tuple[str, str, str]]) -> None:
        self.schedules = tuple(TimetableSchedule(*each) for each in schedules)
        self.description = _description(self.schedules)

    def serialize(self) -> dict[str, Any]:
        """Return the timetable as JSON values, for `deserialize`."""
        return {"schedules": [list(each) for each in self.schedules]}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> MeltanoTimetable:
        """Return the timetable from the result of `serialize`."""
        return cls(data["schedules"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MeltanoTimetable):
            return NotImplemented
        return self.schedules == other.schedules

    def __hash__(self) -> int:
        return hash(self.schedules)

    @property
    def summary(self) -> str:
        """The schedules' names and cron expressions, for Airflow's list of DAGs."""
        return ", ".join(f"{each.name}: {each.cron}{_in_timezone(each)}" for each in self.schedules)

    def validate(self) -> None:
        """Check the schedules when Airflow validates the DAG.

        Raises:
            AirflowTimetableInvalid: No schedule is given, or a cron expression or time zone is
                invalid.
        """
        if not self.schedules:
            raise AirflowTimetableInvalid("a timetable must have at least one schedule")
        for each in self.schedules:
            wrong = wrong_cron(each.cron) or _wrong_timezone(each.timezone)
            if wrong:
                raise AirflowTimetableInvalid(f"schedule {each.name!r}: {wrong}")

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return an interval of no length: a manual run is not for a period."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return when the next run is due, and its data interval."""
        tick = self._tick_of_next_run(last_automated_data_interval, restriction)
        if restriction.latest is not None and restriction.latest < tick:
            return None
        start = self._start(tick, last_automated_data_interval, restriction)
        return DagRunInfo.interval(pendulum.instance(start), pendulum.instance(tick))

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: pendulum.DateTime,
        data_interval: DataInterval | None,
        **extra: Any,
    ) -> str:
        """Return a run ID with the names of the served schedules and the start of the interval.

        The start makes the ID unique. It is the run's logical date, which no two runs share; the
        end can be the same for two runs after a backfill, and the scheduler exits if two run IDs
        are equal.
        """
        plain = super().generate_run_id(
            run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
        )
        if run_type is not DagRunType.SCHEDULED or data_interval is None:
            return plain
        start, end = data_interval
        names = _join_names([_id_part(each.name) for each in served(self.schedules, start, end)])
        named = "__".join(filter(None, [plain, names, f"since_{start.isoformat()}"]))
        # The pattern is meant for run IDs that people choose, but Airflow applies it to these too.
        # It always accepts its own form, which the logical date makes unique.
        allowed = conf.get("scheduler", "allowed_run_id_pattern").strip()
        if allowed and re.match(allowed, named):
            return named
        return run_type.generate_run_id(suffix=start.isoformat())

    def _tick_of_next_run(
        self, last: DataInterval | None, restriction: TimeRestriction
    ) -> datetime:
        now = utcnow()
        candidates = []
        if last is not None:
            candidates.append(self._next(last.end))
        elif restriction.earliest is None:
            candidates.append(self._first(now))
        if restriction.earliest is not None:
            candidates.append(self._next(restriction.earliest - timedelta.resolution))
        if not restriction.catchup:
            candidates.append(self._previous(now + timedelta.resolution))
        return max(candidates)

    def _first(self, now: datetime) -> datetime:
        past, coming = self._previous(now + timedelta.resolution), self._next(now)
        grace = max((coming - past) / _GRACE_DIVISOR, _LEAST_GRACE)
        return past if now - past <= grace else coming

    def _start(
        self, tick: datetime, last: DataInterval | None, restriction: TimeRestriction
    ) -> datetime:
        """Return the start of a run's interval. It is the logical date, so it must be unique."""
        start = self._previous(tick) if last is None else last.end
        if last is not None and last.start == last.end:
            # Airflow's own timetables make such intervals, and so does a `start_date` on a tick.
            start += _AFTER_TICK
        backfill = last is None and restriction.catchup and restriction.latest is not None
        if restriction.earliest is None or backfill:
            # A backfill finds existing runs by their logical dates.
            return start
        # A run with a logical date before the DAG's `start_date` would have no tasks.
        return max(start, restriction.earliest)

    def _next(self, after: datetime) -> datetime:
        return min(next_tick(each.cron, each.timezone, after) for each in self.schedules)

    def _previous(self, before: datetime) -> datetime:
        return max(previous_tick(each.cron, each.timezone, before) for each in self.schedules)


def _in_timezone(schedule: TimetableSchedule) -> str:
    return "" if schedule.timezone == "UTC" else f" ({schedule.timezone})"


def _description(schedules: Iterable[TimetableSchedule]) -> str:
    """Return the schedules in words, with Airflow's description of each cron expression."""
    described = []
    for each in schedules:
        words = CronTriggerTimetable(each.cron, timezone="UTC").description or each.cron
        described.append(f"{each.name}: {words}{_in_timezone(each)}")
    text = "; ".join(described)
    return text if len(text) <= _DESCRIPTION_LENGTH else f"{text[: _DESCRIPTION_LENGTH - 3]}..."


def _wrong_timezone(timezone: str) -> str | None:
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return f"{timezone!r} is not a time zone such as Europe/Prague"
    return None


def _id_part(name: str) -> str:
    """Return a schedule's name with only the characters that a run ID may contain.

    Airflow rejects a run ID with two dots in a row, because they could be part of a path.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9.-]+|\.{2,}", "_", plain)[:_NAME_LENGTH].strip("_")
    return words or legal_id(name)


def _join_names(names: Sequence[str]) -> str:
    """Return as many names as fit into a run ID, and the number of the others."""
    lengths = accumulate(len(name) + 1 for name in names)
    count = sum(length <= _ALL_NAMES_LENGTH for length in lengths)
    more = [f"{len(names) - count}_more"] if count < len(names) else []
    return "+".join([*names[:count], *more])


class MeltanoDagFactoryPlugin(AirflowPlugin):
    """Registers the timetable in every Airflow process."""

    name = "meltano_dag_factory"
    timetables = [MeltanoTimetable]  # noqa: RUF012 - a list by Airflow's own definition
