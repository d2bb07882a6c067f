"""The timetable of a job whose schedules differ in variables or time zone.

Airflow's own timetables serve every other job. Every Airflow process needs this package for this
one: it finds the plugin below by the entry point `airflow.plugins`, and a scheduler that does not
find it ends. Source:
https://airflow.apache.org/docs/apache-airflow/stable/howto/timetable.html
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

# Airflow's own `CronTriggerTimetable`: a first tick is made up for when it is past by less.
_JUST_PAST = timedelta(minutes=5)
_JUST_PAST_PART = 10
# No tick lies within a moment of another.
_MOMENT = timedelta(seconds=1)
# A run's logs are in the folder `run_id=...`, whose name may have 255 characters.
_NAMES_LENGTH = 150
_NAME_LENGTH = 60
# The column `dag.timetable_description` takes 1000, with what `AssetOrTimeSchedule` puts before.
_DESCRIPTION_LENGTH = 900


class TimetableSchedule(NamedTuple):
    """One schedule of a timetable.

    Attributes:
        name: As in meltano.yml.
        cron: Five cron fields.
        timezone: In which they count.
    """

    name: str
    cron: str
    timezone: str


class MeltanoTimetable(Timetable):
    """Runs a job whenever one of its schedules is due, and leaves none out.

    The data interval of a run begins where that of the last scheduled or backfilled run ended, and
    ends at the tick that starts it. With catchup off, the ticks that passed while a run was active
    or nothing ran make one run, which serves every schedule with a tick inside its interval. With
    catchup on, each tick has its run. Which schedules a run serves stands in its run ID, and in
    `dag_factory.cron.served` for whoever has the interval.

    A new DAG waits for its next tick, unless one is just past, as with `CronTriggerTimetable`.

    Args:
        schedules: Name, cron expression and time zone of each.
    """

    def __init__(self, schedules: Iterable[tuple[str, str, str]]) -> None:
        self.schedules = tuple(TimetableSchedule(*each) for each in schedules)
        self.description = _description(self.schedules)

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` takes, for JSON."""
        return {"schedules": [list(each) for each in self.schedules]}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> MeltanoTimetable:
        """Return the timetable that `serialize` was asked of."""
        return cls(data["schedules"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MeltanoTimetable):
            return NotImplemented
        return self.schedules == other.schedules

    def __hash__(self) -> int:
        return hash(self.schedules)

    @property
    def summary(self) -> str:
        """The cron expressions by the schedules' names, for Airflow's list of DAGs."""
        return ", ".join(f"{each.name}: {each.cron}{_in_timezone(each)}" for each in self.schedules)

    def validate(self) -> None:
        """Check the schedules when Airflow takes the DAG.

        Raises:
            AirflowTimetableInvalid: There is none, or a cron expression or time zone is wrong.
        """
        if not self.schedules:
            raise AirflowTimetableInvalid("a timetable needs a schedule")
        for each in self.schedules:
            wrong = wrong_cron(each.cron) or _wrong_timezone(each.timezone)
            if wrong:
                raise AirflowTimetableInvalid(f"schedule {each.name!r}: {wrong}")

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return no more than the moment: a run by hand is for no period."""
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
        """Return a run ID that names the schedules that the run serves, and since when.

        A backfill can make a second run end with a tick, and the scheduler ends when two run IDs
        are equal. No two runs begin at one time: that is their logical date.
        """
        plain = super().generate_run_id(
            run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
        )
        if run_type is not DagRunType.SCHEDULED or data_interval is None:
            return plain
        start, end = data_interval
        names = _joined([_readable(each.name) for each in served(self.schedules, start, end)])
        named = "__".join(filter(None, [plain, names, f"since_{start.isoformat()}"]))
        # Meant for run IDs that people give, the pattern holds for these too. Airflow takes its own
        # form in any case, and logical dates are unique.
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
        made_up_for = max((coming - past) / _JUST_PAST_PART, _JUST_PAST)
        return past if now - past <= made_up_for else coming

    def _start(
        self, tick: datetime, last: DataInterval | None, restriction: TimeRestriction
    ) -> datetime:
        """Return the start of a run's interval, which is its logical date: no two may have one."""
        start = self._previous(tick) if last is None else last.end
        if last is not None and last.start == last.end:
            # Airflow's own timetables give such intervals, and so does a `start_date` on a tick.
            start += _MOMENT
        backfill = last is None and restriction.catchup and restriction.latest is not None
        if restriction.earliest is None or backfill:
            # A backfill finds the runs that exist by their logical dates.
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
    """Return the schedules in words, as Airflow describes a cron expression."""
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
        return f"{timezone!r} is no time zone such as Europe/Prague"
    return None


def _readable(name: str) -> str:
    """Return what of a schedule's name a run ID can hold: two dots would be a path to Airflow."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9.-]+|\.{2,}", "_", plain)[:_NAME_LENGTH].strip("_")
    return words or legal_id(name)


def _joined(names: Sequence[str]) -> str:
    """Return as many names as a run ID can hold."""
    lengths = accumulate(len(name) + 1 for name in names)
    count = sum(length <= _NAMES_LENGTH for length in lengths)
    more = [f"{len(names) - count}_more"] if count < len(names) else []
    return "+".join([*names[:count], *more])


class MeltanoDagFactoryPlugin(AirflowPlugin):
    """Makes the timetable known to every Airflow process."""

    name = "meltano_dag_factory"
    timetables = [MeltanoTimetable]  # noqa: RUF012 - a list by Airflow's own definition
