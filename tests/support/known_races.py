"""The tests that a race of Airflow's own can fail. They alone run again, once, when they fail."""

from dataclasses import dataclass

import pytest

_PODS = "tests/platform/kubernetes"


@dataclass(frozen=True)
class KnownRace:
    """A fault of Airflow that appears by chance.

    Attributes:
        tests: The tests that can meet it.
        reason: What happens.
        issue: Where it is reported.
    """

    tests: tuple[str, ...]
    reason: str
    issue: str


KNOWN_RACES = (
    KnownRace(
        tests=(
            f"{_PODS}/test_runner.py::test_a_deferred_task_ends_as_any_other",
            f"{_PODS}/test_faults.py::test_a_deferred_task_names_an_image_that_is_not_to_be_had",
        ),
        reason="a task that resumes at once after its deferral is taken for lost by the scheduler",
        issue="https://github.com/apache/airflow/issues/72716",
    ),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = {test for race in KNOWN_RACES for test in race.tests}
    for item in items:
        if item.nodeid in known:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests ran again, and why they may."""
    again = {each.nodeid for each in terminalreporter.stats.get("rerun", ())}
    for race in KNOWN_RACES:
        for test in again.intersection(race.tests):
            terminalreporter.write_line(f"ran again: {test}: {race.reason}, {race.issue}")
