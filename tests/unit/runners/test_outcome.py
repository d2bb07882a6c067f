"""How a task ends, by how its run ended."""

import logging
import re
import signal
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from dag_factory.exit_codes import ExitCode
from dag_factory.meltano_process.result import RunSummary
from dag_factory.options.expectations import Bounds, Expectation
from dag_factory.runners.outcome import finish_run
from dag_factory.runners.prepare import PreparedRun

HOUR = timedelta(hours=1)


def finish(summary, *, outlets=(), context=None, **run):
    finish_run(PreparedRun((), {}, **run), summary, outlets, context or {})


def counted(**rows):
    return RunSummary(0, rows=rows, counted=True)


def aged(is_part=False, **hours):
    newest = {stream: datetime.now(UTC) - HOUR * age for stream, age in hours.items()}
    return RunSummary(0, newest=newest, is_part=is_part)


def test_a_run_that_succeeded_tells_its_assets_the_rows():
    events = {"asset": SimpleNamespace(extra={})}
    finish(counted(a=1, b=2), outlets=["asset"], context={"outlet_events": events})
    assert events["asset"].extra == {"rows": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (1, "tap-a: no", "Meltano failed with exit code 1: tap-a: no"),
        (3, None, "exit code 3: it logged no error; see the log above"),
        (-signal.SIGKILL, "x", "Meltano was killed by SIGKILL: x"),
        (-signal.SIGTERM, None, "Meltano was stopped (Airflow shut down, or somebody ended"),
        (128 + signal.SIGTERM, "The process was terminated", "Meltano was stopped"),
        (ExitCode.UNAVAILABLE, None, "exit code 69: it logged no error"),
    ],
)
def test_a_failure_is_tried_again_and_says_why(code, error, said):
    with pytest.raises(AirflowException) as failed:
        finish(RunSummary(code, error))
    assert type(failed.value) is AirflowException
    assert said in str(failed.value)


def test_a_run_that_was_not_started_as_aws_was_not_reached_is_tried_again():
    with pytest.raises(AirflowException, match=r"^AWS cannot be reached$") as failed:
        finish(RunSummary(ExitCode.UNAVAILABLE, "AWS cannot be reached"))
    assert type(failed.value) is AirflowException


def test_a_run_that_was_not_started_is_not_tried_again():
    with pytest.raises(AirflowFailException, match="another version"):
        finish(RunSummary(ExitCode.CONFIG_ERROR, "another version"))
    with pytest.raises(AirflowFailException, match="see the log above"):
        finish(RunSummary(ExitCode.CONFIG_ERROR))


def test_a_state_id_that_is_held_is_waited_for_a_minute_and_the_log_says_so(caplog):
    caplog.set_level(logging.INFO)
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as waiting:
        finish(RunSummary(ExitCode.LOCKED, "Another 'x' pipeline is already running"))
    wait = waiting.value.reschedule_date - before
    assert timedelta(minutes=1) <= wait < timedelta(minutes=2)
    [record] = caplog.records
    assert re.match(r"Waiting until \d\d:\d\d:\d\d UTC without using a retry: ", record.message)
    assert record.message.endswith("Another 'x' pipeline is already running")


def test_a_dry_run_is_skipped_with_all_that_comes_after_unless_it_failed():
    with pytest.raises(AirflowSkipException):
        finish(RunSummary(0), is_dry=True)
    with pytest.raises(AirflowException, match="exit code 1"):
        finish(RunSummary(1), is_dry=True)


def test_rows_that_are_missing_fail_for_good_and_tell_no_asset():
    events = {"asset": SimpleNamespace(extra={})}
    expect = Expectation(Bounds(5), {"a": Bounds(2)})
    with pytest.raises(AirflowFailException) as failed:
        finish(
            counted(a=1, b=2), expect=expect, outlets=["asset"], context={"outlet_events": events}
        )
    assert str(failed.value) == (
        "Meltano succeeded, but expected at least 5 rows, got 3;"
        " stream a: expected at least 2 rows, got 1"
    )
    assert events["asset"].extra == {}


def test_rows_that_nobody_could_count_are_not_expected_and_the_log_says_so(caplog):
    finish(RunSummary(0), expect=Expectation(Bounds(5)))
    assert "The log level is too high to count rows; expected rows are not checked." in caplog.text


MANY = {f"stream_{number}": number for number in range(1000)}


def of_many(**expected):
    """End a run of a thousand streams as its pod tells of it."""
    summary = RunSummary(0, rows=MANY, counted=True).to_json().decode()
    finish(RunSummary.from_json(summary), expect=Expectation(**expected))


def test_all_rows_count_also_where_not_all_streams_are_told(caplog):
    of_many(run=Bounds(499500, 499500))
    with pytest.raises(AirflowFailException, match="at least 499501 rows, got 499500"):
        of_many(run=Bounds(499501))
    assert not caplog.records


def test_of_many_streams_those_that_are_told_are_checked_and_the_log_names_the_others(caplog):
    with pytest.raises(AirflowFailException, match="stream stream_999: expected at most 5 rows"):
        of_many(streams={"stream_999": Bounds(0, 5)})
    assert not caplog.records
    of_many(streams={"stream_1": Bounds(5), "stream_999": Bounds(5), "stream_0": Bounds(5)})
    [record] = caplog.records
    assert record.message.endswith("the expectations of stream_0, stream_1 are not checked.")


def test_where_only_an_age_is_expected_nobody_misses_counts(caplog):
    finish(aged(a=1), expect=Expectation(Bounds(max_age=2 * HOUR)), bookmarked=("x",))
    assert not caplog.records


@pytest.mark.parametrize(
    ("expect", "summary", "said"),
    [
        (Expectation(Bounds(max_age=2 * HOUR)), aged(a=3, b=5), "the newest row is from "),
        (Expectation(Bounds(max_age=2 * HOUR)), aged(), "no bookmark tells how old the newest"),
        (
            Expectation(streams={"b": Bounds(max_age=2 * HOUR)}),
            aged(a=1, b=3),
            "stream b: the newest row is from ",
        ),
        (
            Expectation(streams={"b": Bounds(max_age=2 * HOUR)}),
            aged(a=1),
            "stream b: no bookmark tells how old the newest row is",
        ),
        (
            Expectation(streams={"b": Bounds(max_age=2 * HOUR)}),
            aged(is_part=True, b=3),
            "stream b: the newest row is from ",
        ),
    ],
)
def test_rows_that_are_too_old_fail_for_good(expect, summary, said):
    with pytest.raises(AirflowFailException, match=f"Meltano succeeded, but {said}"):
        finish(summary, expect=expect, bookmarked=("x",))


@pytest.mark.parametrize(
    ("expect", "summary"),
    [
        (Expectation(Bounds(max_age=2 * HOUR)), aged(a=1, b=5)),
        (Expectation(streams={"b": Bounds(max_age=2 * HOUR)}), aged(a=5, b=1)),
        (Expectation(streams={"b": Bounds(max_age=2 * HOUR)}), aged(is_part=True, a=1)),
        (Expectation(Bounds(max_age=2 * HOUR)), aged(is_part=True)),
    ],
)
def test_rows_that_are_new_enough_or_left_out_for_want_of_room_are_right(expect, summary):
    finish(summary, expect=expect, bookmarked=("x",))


def test_where_no_bookmarks_were_asked_for_no_age_is_expected():
    finish(aged(a=5), expect=Expectation(Bounds(max_age=2 * HOUR)))
