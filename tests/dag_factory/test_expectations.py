import pytest

from dag_factory.errors import Code
from dag_factory.expectations import Bounds, Expectation
from dag_factory.project import read_project


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ({"a": 1}, []),
        ({"a": 2, "b": 3}, []),
        ({}, ["expected at least 1 rows, and there were 0"]),
        ({"a": 5, "b": 6}, ["expected at most 10 rows, and there were 11"]),
    ],
)
def test_all_rows_of_a_task_count(counted, said):
    assert Expectation(Bounds(1, 10)).wrong_rows(counted) == said


def test_each_stream_has_bounds_of_its_own():
    expected = Expectation(streams={"a": Bounds(2), "b": Bounds(0, 1)})
    assert expected.wrong_rows({"a": 2, "c": 100}) == []
    assert expected.wrong_rows({"b": 2}) == [
        "stream a: expected at least 2 rows, and there were 0",
        "stream b: expected at most 1 rows, and there were 2",
    ]


def test_where_nobody_counts_that_is_said():
    (said,) = Expectation(Bounds(1)).wrong_rows(None)
    assert "neither the extractor nor the loader counts" in said


@pytest.mark.parametrize(
    "value",
    ["1", "{}", "{min: 1}", "{rows: 1}", "{rows: {}}", "{rows: {min: -1}}", "{rows: {min: x}}",
     "{rows: {min: 2, max: 1}}", "{rows: {least: 1}}", "{streams: [a]}", "{streams: {a: 1}}"],
)  # fmt: skip
def test_what_is_no_expectation_is_a_problem(write_project, value):
    root = write_project(
        f"jobs: [{{name: j, tasks: [dbt], annotations: {{airflow: {{expect: {value}}}}}}}]\n"
    )
    (problem,) = read_project(root)[1]
    assert problem.code is Code.INVALID_OPTION
