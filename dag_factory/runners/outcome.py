"""How a task ends, for every runner: success, skip, failure with or without retry, or a wait."""

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

from dag_factory.exit_codes import ExitCode, from_returncode, signal_name
from dag_factory.meltano_process.result import RunSummary
from dag_factory.runners.prepare import PreparedRun

STOPPED_MESSAGE = "Meltano was stopped (Airflow shut down, or somebody ended the task)"
_LOCK_WAIT = timedelta(minutes=1)
_log = logging.getLogger(__name__)


def finish_run(
    run: PreparedRun, summary: RunSummary, outlets: Iterable[Any], context: Mapping[str, Any]
) -> None:
    """End a task according to the result of its run, and add the rows to the events of its assets.

    Args:
        run: The run.
        summary: The result of the run.
        outlets: The assets that the task updates.
        context: Airflow's context of the task instance.

    Raises:
        AirflowRescheduleException: Another run holds the state ID. The task starts again in a
            minute, which does not count as a retry. The lock of a killed run expires after five
            minutes.
        AirflowFailException: No retry would succeed.
        AirflowException: The command failed; the message is its last error. Or a service did not
            answer (`ExitCode.UNAVAILABLE`).
        AirflowSkipException: The run was a dry run. Skipping keeps later tasks and jobs from
            running.
    """
    if summary.exit_code == ExitCode.LOCKED:
        at = datetime.now(UTC) + _LOCK_WAIT
        _log.info("Waiting until %s without using a retry: %s", f"{at:%T %Z}", summary.error)
        raise AirflowRescheduleException(at)  # type: ignore[no-untyped-call]
    if summary.exit_code == ExitCode.CONFIG_ERROR:
        raise AirflowFailException(summary.error or "Meltano was not run; see the log above")
    if summary.exit_code == ExitCode.UNAVAILABLE and summary.error:
        raise AirflowException(summary.error)
    if summary.exit_code:
        reason = summary.error or "it logged no error; see the log above"
        raise AirflowException(f"{_failure(summary.exit_code)}: {reason}")
    if run.is_dry:
        raise AirflowSkipException("This was a dry run of the whole job.")
    if summary.is_whole and (uncounted := set(run.streams) - set(summary.rows or ())):
        names = ", ".join(sorted(uncounted))
        _log.warning(
            "The run counted no rows for %s, chosen in the trigger form: check the names", names
        )
    if unmet := [*_unmet_expectations(run, summary)]:
        raise AirflowFailException(f"Meltano succeeded, but {'; '.join(unmet)}")
    for asset in outlets:
        context["outlet_events"][asset].extra = {"rows": summary.rows}


def _unmet_expectations(run: PreparedRun, summary: RunSummary) -> Iterator[str]:
    if run.expect is None:
        return
    known = {name: each for name, each in run.expect.streams.items() if summary.knows(name)}
    if unknown := sorted(set(run.expect.streams) - set(known)):
        _log.warning(
            "The run has too many streams to report all of them; the expectations of %s are not "
            "checked.",
            ", ".join(unknown),
        )
    expect = replace(run.expect, streams=known)
    if summary.counted:
        yield from expect.wrong_rows(summary.rows, summary.left_out)
    elif run.expect.of_rows:
        _log.warning("The log level is too high to count rows; expected rows are not checked.")
    if run.bookmarked and (summary.newest or not summary.is_part):
        yield from expect.wrong_ages(summary.newest, datetime.now(UTC))


def _failure(exit_code: int) -> str:
    if exit_code in (-signal.SIGTERM, from_returncode(-signal.SIGTERM)):
        return STOPPED_MESSAGE
    if exit_code < 0:
        return f"Meltano was killed by {signal_name(-exit_code)}"
    return f"Meltano failed with exit code {exit_code}"
