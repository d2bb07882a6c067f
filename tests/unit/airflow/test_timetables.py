import configparser
import json
import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint, distribution
from itertools import cycle, pairwise

import pendulum
import pytest
from airflow import plugins_manager
from airflow._shared import module_loading
from airflow.exceptions import AirflowTimetableInvalid, SerializationError
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule
from airflow.serialization.helpers import TimetableNotRegistered
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import MultipleCronTriggerTimetable
from airflow.utils.types import DagRunType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dag_factory.airflow import timetables
from dag_factory.airflow.timetables import MeltanoTimetable
from dag_factory.cron import next_tick, served
from tests.support.running import CHECKOUT

NIGHTLY = ("nightly", "0 2 * * *", "Europe/Prague")
HOURLY = ("hourly", "0 * * * *", "UTC")
BOTH = MeltanoTimetable([NIGHTLY, HOURLY])


def at(text):
    return pendulum.parse(text)


def set_plugins(monkeypatch, *entry_points):
    """Let Airflow find these plugins, whatever is installed here."""
    found = [(each, distribution("croniter")) for each in entry_points]
    monkeypatch.setattr(
        module_loading, "_get_grouped_entry_points", lambda: {"airflow.plugins": found}
    )
    plugins_manager._get_plugins.cache_clear()
    plugins_manager.get_timetables_plugins.cache_clear()


@pytest.fixture(scope="module")
def plugins():
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch
    plugins_manager._get_plugins.cache_clear()
    plugins_manager.get_timetables_plugins.cache_clear()


@pytest.fixture
def registered(plugins):
    """Airflow with the plugin that setup.cfg declares."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    declared = config["options.entry_points"]["airflow.plugins"].strip()
    name, value = declared.split(" = ")
    set_plugins(plugins, EntryPoint(name, value, "airflow.plugins"))


@pytest.fixture
def clock(monkeypatch):
    """The clock of the timetables; set `clock.now`."""

    class Clock:
        now = datetime.now(UTC)

    monkeypatch.setattr(timetables, "utcnow", lambda: Clock.now)
    return Clock


def stored(timetable, **arguments):
    """Return a DAG as the scheduler has it: from JSON."""
    dag = DAG("load", schedule=timetable, max_active_runs=1, **arguments)
    dag.validate()
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


class Scheduler:
    """Does what Airflow's scheduler and DAG processor do with a DAG, with Airflow's own models."""

    def __init__(self, clock, dag):
        self.clock, self.dag = clock, dag
        self.model = DagModel(dag_id="load")
        self.runs = []
        self.free_from = clock.now

    def add_run(self, run_type, interval, run_after, run_id):
        run = DagRun(
            dag_id="load",
            run_id=run_id,
            run_type=run_type,
            logical_date=interval.start,
            data_interval=interval,
            run_after=run_after,
        )
        self.runs.append(run)
        return run

    def parse(self):
        automated = [run for run in self.runs if run.run_type != DagRunType.MANUAL]
        last = max(automated, key=lambda run: run.logical_date, default=None)
        self.model.calculate_dagrun_date_fields(self.dag, reference_run=last)

    def step(self, durations):
        """Create a run if one is due and none is active; it lasts the next of the durations."""
        model = self.model
        due = model.next_dagrun_create_after and model.next_dagrun_create_after <= self.clock.now
        if not due or self.clock.now < self.free_from:
            return
        existing = [run for run in self.runs if run.logical_date == model.next_dagrun]
        if existing:
            model.calculate_dagrun_date_fields(self.dag, reference_run=existing[0])
            return
        info = self.dag.timetable.next_run_info_from_dag_model(dag_model=model)
        run_id = self.dag.timetable.generate_run_id(
            run_type=DagRunType.SCHEDULED,
            run_after=info.run_after,
            data_interval=info.data_interval,
        )
        assert run_id not in [run.run_id for run in self.runs], "the scheduler would stop"
        run = self.add_run(DagRunType.SCHEDULED, info.data_interval, info.run_after, run_id)
        model.calculate_dagrun_date_fields(self.dag, reference_run=run)
        self.free_from = self.clock.now + next(durations, timedelta())

    def run_until(self, end, *durations):
        left = iter(durations)
        while self.clock.now <= end:
            self.parse()
            self.step(left)
            self.clock.now += timedelta(minutes=10)

    @property
    def served(self):
        """The run IDs without the parts that all of them share."""
        return [re.sub("scheduled__|2026-|:00[+]00:00", "", run.run_id) for run in self.runs]


@pytest.fixture
def scheduler(registered, clock):
    """Make a scheduler with a DAG at a given time."""

    def make(now, timetable=BOTH, **arguments):
        clock.now = at(now)
        return Scheduler(clock, stored(timetable, **arguments))

    return make


def test_a_dag_comes_back_from_the_database_with_its_timetable(registered):
    dag = stored(BOTH)
    assert dag.timetable == BOTH
    assert dag.timetable.serialize() == BOTH.serialize() == {
        "schedules": [list(NIGHTLY), list(HOURLY)]
    }  # fmt: skip
    assert dag.timetable != MeltanoTimetable([HOURLY, NIGHTLY])
    assert hash(dag.timetable) == hash(BOTH)


def test_without_the_plugin_airflow_cannot_read_the_dag(plugins, registered):
    data = DagSerialization.to_dict(DAG("load", schedule=BOTH))
    set_plugins(plugins)
    with pytest.raises(TimetableNotRegistered, match="MeltanoTimetable"):
        DagSerialization.from_dict(data)
    with pytest.raises(SerializationError, match="is not registered"):
        DagSerialization.to_dict(DAG("load", schedule=BOTH))


def test_the_ui_shows_the_schedules_by_their_names():
    assert BOTH.summary == "nightly: 0 2 * * * (Europe/Prague), hourly: 0 * * * *"
    assert BOTH.description == "nightly: At 02:00 (Europe/Prague); hourly: Every hour"


def test_a_long_description_fits_airflows_column(registered):
    many = MeltanoTimetable((f"{number:0>50}", "0 2 * * *", "UTC") for number in range(50))
    asset = Asset("done", uri="meltano://jobs/done")
    dag = stored(AssetOrTimeSchedule(timetable=many, assets=asset))
    assert len(many.description) < len(dag.timetable.description)
    assert len(dag.timetable.description) <= DagModel.timetable_description.type.length


def test_schedules_are_the_same_along_with_assets(registered, clock):
    clock.now = at("2026-05-04 23:30")
    dag = stored(AssetOrTimeSchedule(timetable=BOTH, assets=Asset("done", uri="x://done")))
    info = dag.next_dagrun_info(last_automated_run_info=None)
    found = dag.timetable.generate_run_id(
        run_type=DagRunType.SCHEDULED, run_after=info.run_after, data_interval=info.data_interval
    )
    plain = "scheduled__2026-05-05T00:00:00+00:00"
    assert found == f"{plain}__nightly+hourly__since_2026-05-04T23:00:00+00:00"


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        ([], "a timetable must have at least one schedule"),
        ([("a", "61 * * * *", "UTC")], "schedule 'a': .*61"),
        ([HOURLY, ("b", "0 * * * *", "Mars/Base")], "schedule 'b': 'Mars/Base' is not a time zone"),
    ],
)
def test_airflow_rejects_a_timetable_that_cannot_work(schedules, message):
    with pytest.raises(AirflowTimetableInvalid, match=message):
        DAG("load", schedule=MeltanoTimetable(schedules)).validate()


def run_id(*names, run_type=DagRunType.SCHEDULED):
    end = at("2026-05-05 01:00")
    return MeltanoTimetable((name, "0 * * * *", "UTC") for name in names).generate_run_id(
        run_type=run_type, run_after=end, data_interval=DataInterval(end.subtract(hours=1), end)
    )


PLAIN = "scheduled__2026-05-05T01:00:00+00:00"
SINCE = "since_2026-05-05T00:00:00+00:00"


def test_a_run_id_names_the_schedules_that_the_run_serves_and_since_when():
    assert run_id("nightly", "hourly") == f"{PLAIN}__nightly+hourly__{SINCE}"
    assert run_id("a", run_type=DagRunType.MANUAL) == "manual__2026-05-05T01:00:00+00:00"


@given(st.lists(st.text(min_size=1, max_size=70), min_size=1, max_size=5))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_airflow_accepts_the_run_id_whatever_the_schedules_names(names):
    found = run_id(*names)
    assert DagRun(dag_id="load", run_id=found).run_id == found
    assert len(f"run_id={found}") <= 255


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["každou hodinu", "a/b"], "kazdou_hodinu+a_b"),
        (["a..b", "c+d", "__e.f-g "], "a_b+c_d+e.f-g"),
        (["每小时"], "id.adf263ec"),
        (["x" * 100, "y"], "x" * 60 + "+y"),
        (["each hour"] * 20, "+".join(["each_hour"] * 15 + ["5_more"])),
    ],
)
def test_a_run_id_is_readable_whatever_the_schedules_names(names, shown):
    assert run_id(*names) == f"{PLAIN}__{shown}__{SINCE}"


@pytest.mark.parametrize("pattern", ["", "^mine-[0-9]+$"])
def test_a_stricter_pattern_for_peoples_run_ids_stops_no_schedule(monkeypatch, pattern):
    monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", pattern)
    found = run_id("nightly")
    assert DagRun(dag_id="load", run_id=found).run_id == "scheduled__2026-05-05T00:00:00+00:00"


def test_a_manual_run_is_not_for_a_period():
    moment = at("2026-05-05 01:23")
    assert BOTH.infer_manual_data_interval(run_after=moment) == DataInterval(moment, moment)


def test_a_new_dag_waits_for_its_next_tick(scheduler):
    new = scheduler("2026-05-04 12:30")
    new.run_until(at("2026-05-04 14:30"))
    assert new.served == [
        "05-04T13:00__hourly__since_05-04T12:00",
        "05-04T14:00__hourly__since_05-04T13:00",
    ]
    assert new.runs[0].data_interval_start == at("2026-05-04 12:00")


def test_a_new_dag_runs_for_a_tick_that_is_just_past(scheduler):
    new = scheduler("2026-05-05 00:06")
    new.run_until(at("2026-05-05 00:06"))
    assert new.served == ["05-05T00:00__nightly+hourly__since_05-04T23:00"]


def test_a_run_longer_than_an_interval_starves_no_schedule(scheduler):
    busy = scheduler("2026-05-04 22:50")
    busy.run_until(at("2026-05-05 04:30"), timedelta(hours=3, minutes=20))
    assert busy.served == [
        "05-04T23:00__hourly__since_05-04T22:00",
        "05-05T02:00__nightly+hourly__since_05-04T23:00",
        "05-05T03:00__hourly__since_05-05T02:00",
        "05-05T04:00__hourly__since_05-05T03:00",
    ]


def test_after_an_outage_one_run_serves_all_schedules_that_were_due(scheduler):
    down = scheduler("2026-05-04 12:50")
    down.run_until(at("2026-05-04 13:10"))
    down.clock.now = at("2026-05-07 09:30")
    down.run_until(at("2026-05-07 10:00"))
    assert down.served == [
        "05-04T13:00__hourly__since_05-04T12:00",
        "05-07T09:00__nightly+hourly__since_05-04T13:00",
        "05-07T10:00__hourly__since_05-07T09:00",
    ]


def test_with_catchup_each_tick_has_its_own_run(scheduler):
    late = scheduler("2026-05-05 02:10", start_date=at("2026-05-04 22:30"), catchup=True)
    late.run_until(at("2026-05-05 02:50"))
    # Nothing before the start date: such a run would have no tasks.
    assert late.served == [
        "05-04T23:00__hourly__since_05-04T22:30",
        "05-05T00:00__nightly+hourly__since_05-04T23:00",
        "05-05T01:00__hourly__since_05-05T00:00",
        "05-05T02:00__hourly__since_05-05T01:00",
    ]


def test_a_start_date_on_a_tick_is_the_first_run(scheduler):
    new = scheduler("2026-05-04 12:30", start_date=at("2026-05-05 00:00"))
    new.run_until(at("2026-05-05 01:30"))
    assert new.served == [
        "05-05T00:00__nightly+hourly__since_05-05T00:00",
        "05-05T01:00__hourly__since_05-05T00:00:01+00:00",
    ]
    assert [run.logical_date for run in new.runs] == [
        at("2026-05-05 00:00"),
        at("2026-05-05 00:00:01"),
    ]


def test_a_start_date_later_than_the_last_run_is_respected(scheduler):
    moved = scheduler("2026-05-04 12:00")
    moved.run_until(at("2026-05-04 12:30"))
    moved.dag = stored(BOTH, start_date=at("2026-05-04 23:30"))
    moved.run_until(at("2026-05-05 00:30"))
    assert moved.served[1:] == ["05-05T00:00__nightly+hourly__since_05-04T23:30"]
    assert moved.runs[1].logical_date == at("2026-05-04 23:30")


def test_there_is_no_run_after_the_end_date(scheduler):
    ending = scheduler("2026-05-04 12:30", end_date=at("2026-05-04 14:00"))
    ending.run_until(at("2026-05-04 16:30"))
    assert [run.run_after for run in ending.runs] == [
        at("2026-05-04 13:00"),
        at("2026-05-04 14:00"),
    ]
    assert ending.model.next_dagrun is None


def test_a_job_whose_schedules_get_different_variables_goes_on(scheduler, monkeypatch):
    own = MultipleCronTriggerTimetable("0 * * * *", "0 2 * * *", timezone="UTC")
    job = scheduler("2026-05-04 12:00", own)
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: job.clock.now)
    monkeypatch.setattr("time.time", lambda: float(job.clock.now.timestamp()))
    job.run_until(at("2026-05-04 12:30"))
    job.dag = stored(BOTH)
    job.run_until(at("2026-05-04 14:30"))
    job.dag = stored(own)
    job.run_until(at("2026-05-04 15:30"))
    assert job.served == [
        "05-04T12:00",
        "05-04T13:00__hourly__since_05-04T12:00:01+00:00",
        "05-04T14:00__hourly__since_05-04T13:00",
        "05-04T15:00",
    ]


def test_a_manual_run_with_the_next_logical_date_blocks_nothing(scheduler):
    job = scheduler("2026-05-04 12:00")
    job.run_until(at("2026-05-04 12:30"))
    moment = DataInterval.exact(at("2026-05-04 12:00"))
    job.add_run(DagRunType.MANUAL, moment, moment.end, "manual__x")
    job.clock.now = at("2026-05-04 13:00")
    job.parse()
    job.step(iter(()))
    job.step(iter(()))
    assert job.served[2:] == ["05-04T13:00__hourly__since_05-04T12:00:01+00:00"]


def test_schedules_can_change_under_a_dag(scheduler):
    job = scheduler("2026-05-04 12:00")
    job.run_until(at("2026-05-04 13:30"))
    job.dag = stored(MeltanoTimetable([("often", "*/20 * * * *", "UTC"), NIGHTLY]))
    job.run_until(at("2026-05-04 13:40"))
    job.dag = stored(MeltanoTimetable([("daily", "0 6 * * *", "UTC"), NIGHTLY]))
    job.run_until(at("2026-05-05 06:00"))
    assert job.served[2:] == [
        "05-04T13:40__often__since_05-04T13:00",
        "05-05T00:00__nightly__since_05-04T13:40",
        "05-05T06:00__daily__since_05-05T00:00",
    ]


def test_a_run_that_other_schedules_planned_has_an_id_too():
    planned = DataInterval(at("2026-05-04 12:10"), at("2026-05-04 12:20"))
    found = BOTH.generate_run_id(
        run_type=DagRunType.SCHEDULED, run_after=planned.end, data_interval=planned
    )
    assert found == "scheduled__2026-05-04T12:20:00+00:00__since_2026-05-04T12:10:00+00:00"


def backfill(dag, first, last):
    infos = list(dag.iter_dagrun_infos_between(at(first), at(last)))
    assert all(info.run_after == info.data_interval.end for info in infos)
    return [info.data_interval for info in infos]


def test_a_backfill_runs_every_tick_of_its_period(registered):
    intervals = backfill(stored(BOTH), "2026-05-04 22:00", "2026-05-05 02:00")
    assert [each.end.hour for each in intervals] == [22, 23, 0, 1, 2]
    assert all(one.end == other.start for one, other in pairwise(intervals))


def test_a_backfill_finds_the_runs_that_were_scheduled(scheduler):
    job = scheduler("2026-05-04 12:00")
    job.run_until(at("2026-05-04 15:00"))
    found = backfill(job.dag, "2026-05-04 13:00", "2026-05-04 15:00")
    assert [each.start for each in found] == [run.logical_date for run in job.runs[1:]]


def test_a_backfill_into_a_long_interval_stops_no_later_run(scheduler):
    job = scheduler("2026-05-04 12:00")
    job.run_until(at("2026-05-04 12:10"))
    job.clock.now = at("2026-05-04 16:10")
    job.run_until(at("2026-05-04 16:20"))
    (interval,) = backfill(job.dag, "2026-05-04 13:30", "2026-05-04 14:30")
    job.add_run(DagRunType.BACKFILL_JOB, interval, interval.end, "backfill__14")
    job.run_until(at("2026-05-04 17:00"))
    assert job.served == [
        "05-04T12:00__hourly__since_05-04T11:00",
        "05-04T16:00__hourly__since_05-04T12:00",
        "backfill__14",
        "05-04T16:00__hourly__since_05-04T14:00",
        "05-04T17:00__hourly__since_05-04T16:00",
    ]


def test_a_backfill_by_a_finer_cron_up_to_the_last_tick_stops_no_later_run(scheduler):
    job = scheduler("2026-05-04 13:00")
    job.run_until(at("2026-05-04 13:00"))
    job.dag = stored(MeltanoTimetable([("hourly", "*/20 * * * *", "UTC"), NIGHTLY]))
    (interval,) = backfill(job.dag, "2026-05-04 12:40", "2026-05-04 12:40")
    job.add_run(DagRunType.BACKFILL_JOB, interval, interval.end, "backfill__12:40")
    job.run_until(at("2026-05-04 13:20"))
    assert job.served == [
        "05-04T13:00__hourly__since_05-04T12:00",
        "backfill__12:40",
        "05-04T13:00__hourly__since_05-04T12:40",
        "05-04T13:20__hourly__since_05-04T13:00",
    ]


CRONS = ["0 * * * *", "*/20 1-4 * * *", "30 2 * * *", "15 1,2,3 * * *", "0 0 * * 0"]
CRON = st.sampled_from(CRONS)
ZONE = st.sampled_from(["UTC", "Europe/Prague", "America/New_York"])
DAY = st.sampled_from(["2026-03-28", "2026-10-24", "2026-10-31", "2026-05-05"])
MINUTES = st.lists(st.integers(0, 300), min_size=1, max_size=5)


def run_for_two_days(clock, timetable, day, catchup, minutes):
    """Yield the intervals of runs that take these minutes, one after the other."""
    clock.now, interval = at(day), None
    restriction = TimeRestriction(at(day), at(day).add(days=2), catchup)
    for duration in cycle(minutes):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=interval, restriction=restriction
        )
        if info is None:
            return
        interval = info.data_interval
        yield interval
        clock.now = max(clock.now, info.run_after) + timedelta(minutes=duration)


@given(st.lists(st.tuples(CRON, ZONE), min_size=1, max_size=3), DAY, st.booleans(), MINUTES)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_schedule_is_ever_starved(clock, crons, day, catchup, minutes):
    timetable = MeltanoTimetable((f"s{number}", *each) for number, each in enumerate(crons))
    intervals = list(run_for_two_days(clock, timetable, day, catchup, minutes))
    assert len({interval.start for interval in intervals}) == len(intervals)
    end = intervals[-1].end if intervals else at(day)
    for schedule in timetable.schedules:
        tick = next_tick(schedule.cron, schedule.timezone, at(day))
        while tick <= end:
            (own,) = [each for each in intervals if each.start < tick <= each.end]
            assert schedule in served(timetable.schedules, *own)
            assert not catchup or own.end == tick
            tick = next_tick(schedule.cron, schedule.timezone, tick)
