"""The text of an alert mail, as plain text and as HTML.

A worker calls `task_mail`, the DAG processor does so if the worker died, and the triggerer calls
`deadline_mail`. Values come from Meltano's log and from people. The templates treat them as data,
never as templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

_ERROR_LENGTH = 2_000
_CUT_OFF = "\n… (see the log for the rest)"
_LABELS = {"failure": "FAILED", "retry": "RETRY", "deadline": "LATE"}
_LABEL_COLOURS = {"failure": "#b3261e", "retry": "#8a5300", "deadline": "#6b3fa0"}
_NOTES = {
    "failure": "Airflow will not retry the task.",
    "retry": "Airflow will retry the task automatically.",
}
_RUN_TYPES = {
    "scheduled": "scheduled",
    "backfill": "backfill",
    "manual": "triggered manually",
    "asset_triggered": "triggered by another job (asset)",
    "asset_materialization": "triggered manually, for an asset",
    "operator_triggered": "triggered by another DAG",
}
# If a worker dies, the DAG processor runs the callback, without an exception.
_NO_ERROR = (
    "The task ended without an error message: its worker died (out of memory, or shut down) or lost"
    " contact with Airflow."
)


@dataclass(frozen=True)
class AlertedJob:
    """The job that an alert is about, as known when the DAG is built.

    Attributes:
        job: The name of the job.
        environment: The Meltano environment that the job runs in.
        schedule: The schedules of the job, in words; empty if it has none.
    """

    job: str
    environment: str
    schedule: str = ""


@dataclass(frozen=True)
class Mail:
    """A mail about an event, to all addresses of the job."""

    subject: str
    text: str
    html: str


def task_mail(about: AlertedJob, event: str, context: Mapping[str, Any]) -> Mail:
    """Return the mail about a task.

    Args:
        about: The job of the task.
        event: `failure` or `retry`.
        context: Airflow's context, in which anything may be missing.
    """
    ti = context.get("ti")
    task, started, ended = (_value(ti, name) for name in ("task_id", "start_date", "end_date"))
    attempt = _attempt(ti)
    exception = context.get("exception")
    return _mail(
        event,
        about,
        title=f"{about.job} / {task}" if task else about.job,
        detail=f" (attempt {attempt})" if attempt else "",
        note=_NOTES[event],
        rows={
            "Job": about.job,
            "Task": task,
            "Environment": about.environment,
            "Schedule": about.schedule,
            **_run_rows(context),
            "Attempt": attempt,
            "Duration": duration_text(ended - started) if started and ended else None,
        },
        error=_NO_ERROR if exception is None else error_text(exception),
        links={"Log": _value(ti, "log_url"), "Run": _run_url(context)},
    )


def deadline_mail(about: AlertedJob, deadline: str, context: Mapping[str, Any]) -> Mail:
    """Return the mail about a run that is late.

    Args:
        about: The job.
        deadline: The time allowed for the run, in words.
        context: Airflow's context, in which anything may be missing.
    """
    return _mail(
        "deadline",
        about,
        title=about.job,
        detail=f": not finished after {deadline}",
        note=f"The run has not finished {deadline} after it was queued.",
        rows={
            "Job": about.job,
            "Environment": about.environment,
            "Schedule": about.schedule,
            **_run_rows(context),
            "State": _value(context.get("dag_run"), "state"),
            "Deadline": _time_text(_value(context.get("deadline"), "deadline_time")),
        },
        error=None,
        links={"Run": _run_url(context)},
    )


def duration_text(duration: timedelta) -> str:
    """Return a duration in words, rounded to seconds, such as `45s`, `1h 30m` or `2d`."""
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"d": days, "h": hours, "m": minutes, "s": seconds}
    return " ".join(f"{value}{unit}" for unit, value in parts.items() if value) or "0s"


def error_text(exception: Any) -> str:
    """Return an exception's type and message, shortened, without the secrets known to Airflow."""
    from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415 - not at parse time
    from airflow.sdk.log import redact  # type: ignore[attr-defined] # noqa: PLC0415

    name = type(exception).__name__
    shown_name = None if isinstance(exception, AirflowException | str) else name
    text = ": ".join(filter(None, [shown_name, str(exception)])) or name
    text = printable(str(redact(text)), also="\n\t")
    return text if len(text) <= _ERROR_LENGTH else text[:_ERROR_LENGTH] + _CUT_OFF


def printable(text: str, also: str = "") -> str:
    """Return a text with a space in place of each character that cannot be printed.

    Args:
        text: The text.
        also: Characters that stay although they cannot be printed.
    """
    return "".join(char if char.isprintable() or char in also else " " for char in text)


def _mail(
    event: str,
    about: AlertedJob,
    *,
    title: str,
    detail: str,
    note: str,
    rows: Mapping[str, Any],
    error: str | None,
    links: Mapping[str, Any],
) -> Mail:
    from jinja2 import Environment, PackageLoader, select_autoescape  # noqa: PLC0415

    templates = Environment(
        loader=PackageLoader("dag_factory.airflow"),
        autoescape=select_autoescape(["html.jinja2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    subject = _one_line(f"[{about.environment}] {_LABELS[event]} {title}{detail}")
    facts = {
        "subject": subject,
        "label": _LABELS[event],
        "colour": _LABEL_COLOURS[event],
        "title": _one_line(title),
        "note": note,
        "rows": {name: _one_line(value) for name, value in rows.items() if value},
        "error": error,
        "links": {name: _one_line(url) for name, url in links.items() if url},
    }
    text, html = (
        templates.get_template(f"alert.{suffix}.jinja2").render(facts) for suffix in ("txt", "html")
    )
    return Mail(subject, text, html)


def _one_line(value: Any) -> str:
    """Return a value as one line, because a newline in a subject would begin another header."""
    return " ".join(printable(str(getattr(value, "value", value))).split())


def _value(holder: Any, name: str) -> Any:
    """Return a field of an object (in a worker) or of a JSON mapping (in the triggerer)."""
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _attempt(ti: Any) -> str | None:
    number, retries = _value(ti, "try_number"), _value(ti, "max_tries")
    return None if number is None or retries is None else f"{number} of {retries + 1}"


def _run_id(context: Mapping[str, Any]) -> Any:
    run, ti = context.get("dag_run"), context.get("ti")
    return _value(run, "run_id") or _value(run, "dag_run_id") or _value(ti, "run_id")


def _run_rows(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what started the run and for which time, and its ID, which names the schedule."""
    run = context.get("dag_run")
    run_type = _value(run, "run_type")
    is_for_time = run_type in ("scheduled", "backfill")
    time = _time_text(_value(run, "logical_date")) if is_for_time else None
    cause = ", for ".join(filter(None, [_RUN_TYPES.get(run_type, run_type), time]))
    return {"Run": cause, "Run ID": _run_id(context)}


def _run_url(context: Mapping[str, Any]) -> str | None:
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - not at parse time

    dag_id = _value(context.get("dag_run"), "dag_id") or _value(context.get("ti"), "dag_id")
    run_id = _run_id(context)
    if not (dag_id and run_id):
        return None
    base_url = conf.get("api", "base_url", fallback="http://localhost:8080/")
    return f"{base_url.rstrip('/')}/dags/{dag_id}/runs/{quote(str(run_id))}"


def _time_text(value: Any) -> str | None:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time else None
