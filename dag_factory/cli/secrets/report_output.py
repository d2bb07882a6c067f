"""What `meltano-dags secrets plan` prints about each secret, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from termcolor import colored

from dag_factory.cli.secrets.needs import SecretReport, State
from dag_factory.errors import counted

_UNFINISHED = (State.LACKS, State.EMPTY)
_KNOWN_CONTENT = (*_UNFINISHED, State.EXISTS, State.MISSING, State.INHERITED)


def report_row(report: SecretReport, now: datetime) -> dict[str, Any]:
    """Return a report as data for JSON."""
    need = report.need
    is_known = report.state in _KNOWN_CONTENT
    return {
        "name": str(need.name),
        "plugin": need.plugin.name if need.plugin else None,
        "jobs": need.jobs,
        "state": report.state.name.lower(),
        "hint": report.hint,
        "settings": [
            {
                "name": each.name,
                "sensitive": each.sensitive,
                "set": each in report.held if is_known else None,
            }
            for each in need.settings
            if each.sensitive or each in report.held
        ],
        "lacking": report.lacking,
        "other_keys": report.other_keys,
        "unread_keys": [*report.unread_keys],
        "age_days": age_in_days(report, now),
    }


def report_lines(report: SecretReport, now: datetime) -> Iterator[str]:
    """Yield the lines of a report as text."""
    need, state = report.need, str(report.state)
    if report.state.is_wrong or report.state in _UNFINISHED:
        state = colored(state, "red" if report.state.is_wrong else "yellow")
    yield f"{need.name}  ({f'{state}: {report.hint}' if report.hint else state})"
    age = age_in_days(report, now)
    unread = ", ".join(f"{key} ({hint})" for key, hint in report.unread_keys.items())
    details = {
        "age": f"{age} day{'' if age == 1 else 's'}" if age is not None else "",
        "plugin": need.plugin.name if need.plugin else "",
        "sensitive": ", ".join(each.name for each in need.sensitive),
        "lacks": ", ".join(report.lacking),
        "settings": ", ".join(each.name for each in report.held if not each.sensitive),
        "variables" if need.plugin is None else "other keys": ", ".join(report.other_keys),
        "unread": colored(unread, "yellow") if unread else "",
        "jobs": ", ".join(need.jobs),
    }
    for label, text in details.items():
        if text:
            yield detail_line(label, text)


def detail_line(label: str, text: str) -> str:
    """Return a line below the name of a secret."""
    return f"    {label:<12} {text}"


def total_line(reports: Sequence[SecretReport]) -> str:
    """Return how many secrets there are, and how many are wrong."""
    total = counted(len(reports), "secret")
    if any(each.state is State.UNKNOWN for each in reports):
        return total
    return f"{total}, {sum(each.state.is_wrong for each in reports) or 'none'} wrong"


def age_in_days(report: SecretReport, now: datetime) -> int | None:
    """Return how old the value of a secret is; `None` if AWS does not tell."""
    return (now - report.since).days if report.since else None
