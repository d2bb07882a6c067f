"""The end of a run says in one line for each reason how many tests did not run."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", ())
    for reason, count in sorted(Counter(map(_reason, reports)).items()):
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.write_line(f"{tests} did not run: {reason}")


def _reason(report: pytest.TestReport) -> str:
    _, _, text = report.longrepr
    return text.removeprefix("Skipped: ")
