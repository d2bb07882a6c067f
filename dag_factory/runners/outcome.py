"""How a task ends, whoever ran it: done, skipped, failed for good, tried again, or waiting."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from dag_factory.exit_codes import ExitCode, from_returncode
from dag_factory.meltano_process.result import RunSummary
from dag_factory.runners.prepare import PreparedRun

STOPPED = "Meltano was stopped (Airflow shut down, or somebody ended the task)"
"""Why a task failed that was asked to stop."""
_WAIT = timedelta(minutes=1)
_log = logging.getLogger(__name__)


def finish_run(
    run: PreparedRun, summary: RunSummary, outlets: Iterable[Any], context: Mapping[str, Any]
) -> None:
    """End a task as its run ended, and tell its assets the rows.

    Args:
        run: What was to run.
        summary: How it ended.
        outlets: The assets that the task updates.
        context: Airflow's, of the task instance.

    Raises:
        AirflowRescheduleException: Another run holds the state ID: the task looks again in a
            minute, without spending a try. A lock whose run was killed is free five minutes later.
        AirflowFailException: No retry would help.
        AirflowException: The command failed; the message is its last error. Or it was not started,
            or its bookmarks not read, for want of an answer.
        AirflowSkipException: It was a dry run, so that no other task or job runs after it.
    """
    if summary.exit_code == ExitCode.LOCKED:
        at = datetime.now(UTC) + _WAIT
        _log.info("Waiting, without spending a try, until %s: %s", f"{at:%T %Z}", summary.error)
        raise AirflowRescheduleException(at)  # type: ignore[no-untyped-call]
    if summary.exit_code == ExitCode.CONFIG_ERROR:
        raise AirflowFailException(summary.error or "see the log above")
    if summary.exit_code == ExitCode.UNAVAILABLE and summary.error:
        raise AirflowException(summary.error)
    if summary.exit_code:
        reason = summary.error or "it wrote no error; see the log above"
        raise AirflowException(f"{_outcome(summary.exit_code)}: {reason}")
    if run.is_dry:
        raise AirflowSkipException("This was a dry run of the whole job.")
    if summary.is_whole and (unseen := set(run.streams) - set(summary.rows or ())):
        named = ", ".join(sorted(unseen))
        _log.warning("Nothing was counted of %s: is it the name of a stream?", named)
    if wrong := [*_unmet(run, summary)]:
        raise AirflowFailException(f"Meltano succeeded, but {'; '.join(wrong)}")
    for asset in outlets:
        context["outlet_events"][asset].extra = {"rows": summary.rows}


def _unmet(run: PreparedRun, summary: RunSummary) -> Iterator[str]:
    if run.expect is None:
        return
    known = {name: each for name, each in run.expect.streams.items() if summary.knows(name)}
    if unknown := sorted(set(run.expect.streams) - set(known)):
        many = "There are too many streams to tell of each; nothing is expected of %s."
        _log.warning(many, ", ".join(unknown))
    expect = replace(run.expect, streams=known)
    if summary.counted:
        yield from expect.wrong_rows(summary.rows, summary.left_out)
    elif run.expect.of_rows:
        _log.warning("The log level is too high to count rows, so none are expected.")
    if run.bookmarked and (summary.newest or not summary.is_part):
        yield from expect.wrong_ages(summary.newest, datetime.now(UTC))


def _outcome(exit_code: int) -> str:
    if exit_code in (-signal.SIGTERM, from_returncode(-signal.SIGTERM)):
        return STOPPED
    if exit_code < 0:
        return f"Meltano was killed by {signal.Signals(-exit_code).name}"
    return f"Meltano failed with exit code {exit_code}"
