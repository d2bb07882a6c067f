"""What an alert by mail says, as plain text and as HTML.

Values come from Meltano's log and from people; they are data to the templates, never templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

_ERROR_LENGTH = 2_000
_CUT = "\n… (the log has the rest)"
_WORDS = {"failure": "FAILED", "retry": "RETRY", "deadline": "LATE"}
_COLOURS = {"failure": "#b3261e", "retry": "#8a5300", "deadline": "#6b3fa0"}
_NOTES = {"failure": "Airflow does not try again.", "retry": "Airflow tries again by itself."}
_RUN_TYPES = {
    "scheduled": "by schedule",
    "backfill": "backfill",
    "manual": "by hand",
    "asset_triggered": "after another job (asset)",
    "asset_materialization": "by hand, for an asset",
    "operator_triggered": "by another DAG",
}
# Where a worker dies, Airflow's callback has no exception: the DAG processor runs it.
_NO_ERROR = (
    "The task ended without an error message: its worker died (out of memory, or shut down) or lost"
    " touch with Airflow."
)


@dataclass(frozen=True)
class AlertedJob:
    """What an alert is about, as far as it is known when the DAG is built.

    Attributes:
        job: The name of the job.
        environment: The Meltano environment that it runs in.
        schedule: Its schedules, in words; empty where it has none.
    """

    job: str
    environment: str
    schedule: str = ""


@dataclass(frozen=True)
class Mail:
    """A mail to all who want to hear of an event."""

    subject: str
    text: str
    html: str


def task_mail(about: AlertedJob, event: str, context: Mapping[str, Any]) -> Mail:
    """Return the mail about a task.

    Args:
        about: The job of the task.
        event: `failure` or `retry`.
        context: Airflow's, of which anything may be missing.
    """
    ti = context.get("ti")
    task, started, ended = (_of(ti, name) for name in ("task_id", "start_date", "end_date"))
    tries = _tries(ti)
    exception = context.get("exception")
    return _mail(
        event,
        about,
        title=f"{about.job} / {task}" if task else about.job,
        about_it=f" (try {tries})" if tries else "",
        note=_NOTES[event],
        rows={
            "Job": about.job,
            "Task": task,
            "Environment": about.environment,
            "Schedule": about.schedule,
            **_run_rows(context),
            "Try": tries,
            "Duration": duration_text(ended - started) if started and ended else None,
        },
        error=_NO_ERROR if exception is None else error_text(exception),
        links={"Log": _of(ti, "log_url"), "Run": _run_url(context)},
    )


def deadline_mail(about: AlertedJob, deadline: str, context: Mapping[str, Any]) -> Mail:
    """Return the mail about a run that is late.

    Args:
        about: The job.
        deadline: The time that the run had, in words.
        context: Airflow's, of which anything may be missing.
    """
    return _mail(
        "deadline",
        about,
        title=about.job,
        about_it=f": not done after {deadline}",
        note=f"The run is not done {deadline} after it was queued.",
        rows={
            "Job": about.job,
            "Environment": about.environment,
            "Schedule": about.schedule,
            **_run_rows(context),
            "State": _of(context.get("dag_run"), "state"),
            "Deadline": _moment(_of(context.get("deadline"), "deadline_time")),
        },
        error=None,
        links={"Run": _run_url(context)},
    )


def duration_text(duration: timedelta) -> str:
    """Return a duration as a person says it: `45s`, `1h 30m`, `2d`."""
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"d": days, "h": hours, "m": minutes, "s": seconds}
    return " ".join(f"{value}{unit}" for unit, value in parts.items() if value) or "0s"


def error_text(exception: Any) -> str:
    """Return what an exception says, without the secrets that Airflow knows, and not too long."""
    from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415 - not at parse time
    from airflow.sdk.log import redact  # type: ignore[attr-defined] # noqa: PLC0415

    kind = None if isinstance(exception, AirflowException | str) else type(exception).__name__
    text = ": ".join(filter(None, [kind, str(exception)])) or type(exception).__name__
    text = "".join(char if char.isprintable() or char in "\n\t" else " " for char in redact(text))
    return text if len(text) <= _ERROR_LENGTH else text[:_ERROR_LENGTH] + _CUT


def _mail(
    event: str,
    about: AlertedJob,
    *,
    title: str,
    about_it: str,
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
    subject = _line(f"[{about.environment}] {_WORDS[event]} {title}{about_it}")
    facts = {
        "subject": subject,
        "word": _WORDS[event],
        "colour": _COLOURS[event],
        "title": _line(title),
        "note": note,
        "rows": {name: _line(value) for name, value in rows.items() if value},
        "error": error,
        "links": {name: _line(url) for name, url in links.items() if url},
    }
    text, html = (
        templates.get_template(f"alert.{kind}.jinja2").render(facts) for kind in ("txt", "html")
    )
    return Mail(subject, text, html)


def _line(value: Any) -> str:
    """Return a value as one line: a newline in a name would begin a header of its own."""
    text = str(getattr(value, "value", value))
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _of(thing: Any, name: str) -> Any:
    """Return a field of what is an object in a worker and plain JSON in the triggerer."""
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _tries(ti: Any) -> str | None:
    number, retries = _of(ti, "try_number"), _of(ti, "max_tries")
    return None if number is None or retries is None else f"{number} of {retries + 1}"


def _run_id(context: Mapping[str, Any]) -> Any:
    run, ti = context.get("dag_run"), context.get("ti")
    return _of(run, "run_id") or _of(run, "dag_run_id") or _of(ti, "run_id")


def _run_rows(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return why the run was started, for which time, and its id, which names the schedule."""
    run = context.get("dag_run")
    kind = _of(run, "run_type")
    due = _moment(_of(run, "logical_date")) if kind in ("scheduled", "backfill") else None
    why = ", for ".join(filter(None, [_RUN_TYPES.get(kind, kind), due]))
    return {"Run": why, "Run ID": _run_id(context)}


def _run_url(context: Mapping[str, Any]) -> str | None:
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - not at parse time

    dag_id = _of(context.get("dag_run"), "dag_id") or _of(context.get("ti"), "dag_id")
    run_id = _run_id(context)
    if not (dag_id and run_id):
        return None
    base_url = conf.get("api", "base_url", fallback="http://localhost:8080/")
    return f"{base_url.rstrip('/')}/dags/{dag_id}/runs/{quote(str(run_id))}"


def _moment(value: Any) -> str | None:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else None
