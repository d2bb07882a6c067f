from datetime import UTC, datetime, timedelta

import pytest

from dag_factory.errors import Code
from dag_factory.options.expectations import Bounds, Expectation
from dag_factory.project.model import read_project


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ({"a": 1}, []),
        ({"a": 2, "b": 3}, []),
        ({}, ["expected at least 1 rows, got 0"]),
        ({"a": 5, "b": 6}, ["expected at most 10 rows, got 11"]),
    ],
)
def test_all_rows_of_a_task_count(counted, said):
    assert Expectation(Bounds(1, 10)).wrong_rows(counted) == said


def test_rows_of_streams_that_are_left_out_count_for_the_run():
    expected = Expectation(Bounds(5, 9), {"a": Bounds(2)})
    assert expected.wrong_rows({"a": 2}, 3) == []
    assert expected.wrong_rows({"a": 2}, 8) == ["expected at most 9 rows, got 10"]


def test_each_stream_has_bounds_of_its_own():
    expected = Expectation(streams={"a": Bounds(2), "b": Bounds(0, 1)})
    assert expected.wrong_rows({"a": 2, "c": 100}) == []
    assert expected.wrong_rows({"b": 2}) == [
        "stream a: expected at least 2 rows, got 0",
        "stream b: expected at most 1 rows, got 2",
    ]


def test_where_nobody_counts_that_is_said():
    (said,) = Expectation(Bounds(1)).wrong_rows(None)
    assert "neither the extractor nor the loader counts" in said


@pytest.mark.parametrize(
    "value",
    ["1", "{}", "{min: 1}", "{rows: 1}", "{rows: {}}", "{rows: {min: -1}}", "{rows: {min: x}}",
     "{rows: {min: 2, max: 1}}", "{rows: {least: 1}}", "{streams: [a]}", "{streams: {a: 1}}",
     "{max_age: 26}", "{max_age: 0h}", "{max_age: {hours: 1}}", "{rows: {max_age: 26h}}",
     "{streams: {a: {max_age: soon}}}", "{streams: {a: {max_age: null}}}"],
)  # fmt: skip
def test_what_is_no_expectation_is_a_problem(write_project, value):
    root = write_project(
        f"jobs: [{{name: j, tasks: [dbt], annotations: {{airflow: {{expect: {value}}}}}}}]\n"
    )
    (problem,) = read_project(root)[1]
    assert problem.code is Code.INVALID_OPTION


NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        ({"a": NOW - 26 * HOUR}, []),
        ({"a": NOW - 99 * HOUR, "b": NOW}, []),
        ({"a": NOW + HOUR}, []),
        (
            {"a": NOW - 27 * HOUR, "b": NOW - 99 * HOUR},
            ["the newest row is from 2026-11-01T09:00:00+00:00, older than 26h"],
        ),
        ({}, ["no bookmark tells how old the newest row is"]),
    ],
)
def test_the_newest_row_of_all_streams_counts_for_the_run(newest, said):
    assert Expectation(Bounds(max_age=26 * HOUR)).wrong_ages(newest, NOW) == said


def test_each_stream_has_an_age_of_its_own():
    expected = Expectation(streams={"a": Bounds(max_age=HOUR), "b": Bounds(max_age=HOUR)})
    assert expected.wrong_ages({"a": NOW, "b": NOW}, NOW) == []
    assert expected.wrong_ages({"a": NOW - 2 * HOUR}, NOW) == [
        "stream a: the newest row is from 2026-11-02T10:00:00+00:00, older than 1h",
        "stream b: no bookmark tells how old the newest row is",
    ]


def test_who_expects_no_age_looks_at_no_bookmark_and_who_expects_no_rows_counts_none():
    rows, age = Expectation(Bounds(1)), Expectation(streams={"a": Bounds(max_age=HOUR)})
    assert (rows.of_rows, rows.of_age) == (True, False)
    assert (age.of_rows, age.of_age) == (False, True)
    assert rows.wrong_ages({}, NOW) == []
    assert age.wrong_rows(None) == []


def test_an_expectation_is_read_and_said(write_project):
    root = write_project(
        """
        jobs:
        - name: j
          tasks: [dbt]
          annotations:
            airflow:
              expect: {rows: {min: 1}, max_age: 26h, streams: {a: {max: 9, max_age: 90m}}}
        """
    )
    project, problems = read_project(root)
    assert problems == ()
    found = project.jobs[0].options.values["expect"]
    streams = {"a": Bounds(0, 9, 90 * timedelta(minutes=1))}
    assert found == Expectation(Bounds(1, max_age=26 * HOUR), streams)
    said = "rows: 1 to any number, no older than 26h; a: 0 to 9, no older than 90m"
    assert str(found) == said
