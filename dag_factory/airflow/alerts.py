"""Alerts: who is notified when a task fails or will be retried, or when a run is late.

A worker calls the alerts of its task; the DAG processor does so if the worker died. The triggerer
calls `deadline_missed` by its import path, which is stored in Airflow's database. Mail is sent
through Airflow's connection `smtp_default`. An alert that fails is one line in the log, and does
not affect the task.

The DAG processor only creates the alerts. Mail, templates and notifiers are imported when an alert
is sent, because DAGs are built often.

Sources: callbacks, https://airflow.apache.org/docs/apache-airflow/stable/howto/notifications.html;
deadlines, https://airflow.apache.org/docs/apache-airflow/stable/howto/deadline-alerts.html
"""

from __future__ import annotations

import asyncio
import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.mime.text import MIMEText
from functools import partial
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from dag_factory.airflow.alert_mail import (
    AlertedJob,
    Mail,
    deadline_mail,
    duration_text,
    error_text,
    task_mail,
)
from dag_factory.options.catalog import DagOptions
from dag_factory.options.values import Notifier

_CALLBACKS = {"failure": "on_failure_callback", "retry": "on_retry_callback"}
_MAIL_HINT = (
    "mail needs apache-airflow-providers-smtp and the connection smtp_default with host, port and,"
    " in its extra, from_email (and disable_ssl or disable_tls if the server does not support them)"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskAlert:
    """A callback for one kind of event of a task; Airflow calls it with the task's context.

    Attributes:
        about: The job of the task.
        event: `failure` (the task will not be retried) or `retry`.
        email: The addresses that get a mail.
        notify: The notifiers to call.
    """

    about: AlertedJob
    event: str
    email: tuple[str, ...]
    notify: tuple[Notifier, ...]

    def __call__(self, context: Mapping[str, Any]) -> None:
        """Send the mail and call the notifiers; one that fails does not stop the others."""
        if self.email:
            _send(self.about, self.email, partial(task_mail, self.about, self.event, context))
        for notifier in self.notify:
            with _logging_failed_call(notifier.class_path, self.about):
                _make_notifier(notifier.class_path, notifier.kwargs)({**context})


def task_callbacks(
    about: AlertedJob, options: DagOptions
) -> dict[str, list[Callable[[Mapping[str, Any]], None]]]:
    """Return the callbacks of a task, as keyword arguments of its operator.

    Args:
        about: The job of the task.
        options: The options of the job: `email`, `email_on` and `notify`.

    Returns:
        `on_failure_callback` and `on_retry_callback`, each only if somebody is notified.
    """
    callbacks: dict[str, list[Callable[[Mapping[str, Any]], None]]] = {}
    for event, name in _CALLBACKS.items():
        email, notify = _recipients(event, options)
        if email or notify:
            callbacks[name] = [TaskAlert(about, event, email, notify)]
    return callbacks


def deadline_alert(about: AlertedJob, options: DagOptions) -> DeadlineAlert | None:
    """Return the alert for a run that is late, for the argument `deadline` of its DAG.

    The deadline counts from when the run was queued, because a manual run, or one after another
    job, may have no logical date.

    Args:
        about: The job.
        options: The options of the job: `deadline`, `email`, `email_on` and `notify`.

    Returns:
        The alert, or `None` if the job has no deadline or nobody is notified.
    """
    email, notify = _recipients("deadline", options)
    if not options.deadline or not (email or notify):
        return None
    kwargs = {
        "job": about.job,
        "environment": about.environment,
        "schedule": about.schedule,
        "deadline": duration_text(options.deadline),
        "email": list(email),
        "notify": [{"class_path": each.class_path, "kwargs": {**each.kwargs}} for each in notify],
    }
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=options.deadline,
        callback=AsyncCallback(deadline_missed, kwargs=kwargs),
    )


async def deadline_missed(
    *,
    context: Mapping[str, Any],
    job: str,
    environment: str,
    schedule: str,
    deadline: str,
    email: list[str],
    notify: list[dict[str, Any]],
) -> None:
    """Send the mail and call the notifiers about a late run; the triggerer calls it.

    Blocking calls run in a thread, because all deferred tasks share the triggerer's main thread.
    Mail is sent in a thread because the asynchronous `SmtpHook` starts TLS twice, which fails.

    Args:
        context: The run and the deadline, as Airflow passes them; it contains no task.
        job: The name of the job.
        environment: The Meltano environment.
        schedule: The schedules of the job, in words.
        deadline: The time allowed for the run, in words.
        email: The addresses that get a mail.
        notify: The `class_path` and `kwargs` of each notifier.
    """
    about = AlertedJob(job, environment, schedule)
    if email:
        make_mail = partial(deadline_mail, about, deadline, context)
        await asyncio.to_thread(_send, about, email, make_mail)
    for each in notify:
        with _logging_failed_call(each["class_path"], about):
            notifier = await asyncio.to_thread(_make_notifier, each["class_path"], each["kwargs"])
            if _is_async_only(notifier):
                notifier.context = {**context}
                await notifier
            else:
                await asyncio.to_thread(notifier, {**context})


def _recipients(event: str, options: DagOptions) -> tuple[tuple[str, ...], tuple[Notifier, ...]]:
    """Return the mail addresses and the notifiers for one kind of event."""
    email = options.email if event in options.email_on else ()
    return email, tuple(each for each in options.notify if event in each.events)


def _make_notifier(class_path: str, kwargs: Mapping[str, Any]) -> Any:
    return pkgutil.resolve_name(class_path)(**kwargs)


def _is_async_only(notifier: Any) -> bool:
    from airflow.sdk import BaseNotifier  # noqa: PLC0415 - not at parse time

    return getattr(type(notifier), "notify", None) is BaseNotifier.notify


def _send(about: AlertedJob, email: Sequence[str], make_mail: Callable[[], Mail]) -> None:
    """Send a mail through Airflow's connection, as plain text and HTML.

    `SmtpHook` is used without `SmtpNotifier`, which would render the texts as Jinja templates.
    """
    what = f"Could not mail {', '.join(email)} about job {about.job!r}"
    with _logging_failure(what, _MAIL_HINT):
        from airflow.providers.smtp.hooks.smtp import SmtpHook  # noqa: PLC0415 - not at parse time

        mail = make_mail()

        class AlertHook(SmtpHook):
            """Adds plain text to a mail; Airflow's hook supports only HTML."""

            def _build_mime_message(self, *args: Any, **kwargs: Any) -> Any:
                message, recipients = super()._build_mime_message(*args, **kwargs)
                plain = MIMEText(mail.text, "plain", "utf-8")
                message.set_payload([plain, *message.get_payload()])
                return message, recipients

        with AlertHook() as hook:
            hook.send_email_smtp(
                to=email,
                subject=mail.subject,
                html_content=mail.html,
                mime_subtype="alternative",
                # Stops "out of office" replies: RFC 3834.
                custom_headers={"Auto-Submitted": "auto-generated"},
            )


def _logging_failed_call(class_path: str, about: AlertedJob) -> AbstractContextManager[None]:
    what = f"Could not call {class_path} about job {about.job!r}"
    return _logging_failure(what, "check `notify` in meltano.yml")


@contextmanager
def _logging_failure(what: str, hint: str) -> Iterator[None]:
    """Turn any exception into one line of the log: a failed alert must not fail the task."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a server or a notifier may raise anything
        reason = " ".join(error_text(error).split()).rstrip(".")
        _log.warning("%s: %s; %s", what, reason, hint)
