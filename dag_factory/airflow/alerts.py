"""Who hears of it when a task fails or is tried again, or when a run is late.

Airflow calls what stands here with the context of the task or run: for a task in its worker, or in
the DAG processor when the worker died, and for a missed deadline in the triggerer. Mail leaves
through Airflow's connection `smtp_default`. Whatever goes wrong with an alert is one line in the
log and changes nothing for the task.

Mail, templates and notifiers are imported when there is something to tell: DAGs are built often.

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
from datetime import timedelta
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
from dag_factory.options.values import Notifier

_CALLBACKS = {"failure": "on_failure_callback", "retry": "on_retry_callback"}
_MAIL_HINT = (
    "mail needs apache-airflow-providers-smtp and the connection smtp_default with host, port and,"
    " in its extra, from_email (and disable_ssl or disable_tls where the server lacks them)"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskAlert:
    """Tells of one kind of event of a task; Airflow calls it with the task's context.

    Attributes:
        about: The job of the task.
        event: `failure` (no try is left) or `retry`.
        email: Who gets a mail.
        notify: Which notifiers are called.
    """

    about: AlertedJob
    event: str
    email: tuple[str, ...]
    notify: tuple[Notifier, ...]

    def __call__(self, context: Mapping[str, Any]) -> None:
        """Tell everybody; who cannot be told does not keep the others from hearing of it."""
        if self.email:
            _send(self.about, self.email, partial(task_mail, self.about, self.event, context))
        for notifier in self.notify:
            with _calling(notifier.class_path, self.about):
                _made(notifier.class_path, notifier.kwargs)({**context})


def task_callbacks(
    about: AlertedJob,
    *,
    email: tuple[str, ...],
    email_on: tuple[str, ...],
    notify: tuple[Notifier, ...],
) -> dict[str, list[Callable[[Mapping[str, Any]], None]]]:
    """Return the callbacks of a task, as keyword arguments of its operator.

    Args:
        about: The job of the task.
        email: Who gets a mail.
        email_on: Of which of `failure`, `retry` and `deadline`.
        notify: Which notifiers are called, and of what.

    Returns:
        Those of `on_failure_callback` and `on_retry_callback` that tell somebody.
    """
    callbacks: dict[str, list[Callable[[Mapping[str, Any]], None]]] = {}
    for event, name in _CALLBACKS.items():
        told, called = _audience(event, email, email_on, notify)
        if told or called:
            callbacks[name] = [TaskAlert(about, event, told, called)]
    return callbacks


def deadline_alert(
    about: AlertedJob,
    deadline: timedelta,
    *,
    email: tuple[str, ...],
    email_on: tuple[str, ...],
    notify: tuple[Notifier, ...],
) -> DeadlineAlert | None:
    """Return what tells of a run that is not done in time, for its DAG's `deadline`.

    Args:
        about: The job.
        deadline: The time that a run has from when it was queued: manual runs and those after
            another job need not have a logical date.
        email: Who gets a mail.
        email_on: Of which of `failure`, `retry` and `deadline`.
        notify: Which notifiers are called, and of what.

    Returns:
        The alert, or `None` where nobody wants to hear of it.
    """
    told, called = _audience("deadline", email, email_on, notify)
    if not (told or called):
        return None
    kwargs = {
        "job": about.job,
        "environment": about.environment,
        "schedule": about.schedule,
        "deadline": duration_text(deadline),
        "email": list(told),
        "notify": [{"class_path": each.class_path, "kwargs": {**each.kwargs}} for each in called],
    }
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=deadline,
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
    """Tell everybody that a run is late; Airflow calls it in the triggerer, by its name.

    What blocks runs in a thread: all deferred tasks share the triggerer's own. Mail does, because
    the asynchronous `SmtpHook` starts TLS twice, which fails.

    Args:
        context: The run and the deadline, as Airflow gives them; there is no task.
        job: The name of the job.
        environment: The Meltano environment.
        schedule: Its schedules, in words.
        deadline: The time the run had, in words.
        email: Who gets a mail.
        notify: The `class_path` and `kwargs` of each notifier.
    """
    about = AlertedJob(job, environment, schedule)
    if email:
        make = partial(deadline_mail, about, deadline, context)
        await asyncio.to_thread(_send, about, email, make)
    for each in notify:
        with _calling(each["class_path"], about):
            notifier = await asyncio.to_thread(_made, each["class_path"], each["kwargs"])
            if _only_async(notifier):
                notifier.context = {**context}
                await notifier
            else:
                await asyncio.to_thread(notifier, {**context})


def _audience(
    event: str, email: tuple[str, ...], email_on: tuple[str, ...], notify: tuple[Notifier, ...]
) -> tuple[tuple[str, ...], tuple[Notifier, ...]]:
    told = email if event in email_on else ()
    return told, tuple(each for each in notify if event in each.events)


def _made(class_path: str, kwargs: Mapping[str, Any]) -> Any:
    return pkgutil.resolve_name(class_path)(**kwargs)


def _only_async(notifier: Any) -> bool:
    from airflow.sdk import BaseNotifier  # noqa: PLC0415 - not at parse time

    return getattr(type(notifier), "notify", None) is BaseNotifier.notify


def _send(about: AlertedJob, email: Sequence[str], make: Callable[[], Mail]) -> None:
    """Mail through Airflow's connection, as plain text and HTML.

    `SmtpHook` is used without `SmtpNotifier`, which would render our texts as Jinja templates.
    """
    with _reported(f"No mail about job {about.job!r} to {', '.join(email)}", _MAIL_HINT):
        from airflow.providers.smtp.hooks.smtp import SmtpHook  # noqa: PLC0415 - not at parse time

        mail = make()

        class AlertHook(SmtpHook):
            """Airflow's hook knows HTML only."""

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
                # So that no "out of office" comes back: RFC 3834.
                custom_headers={"Auto-Submitted": "auto-generated"},
            )


def _calling(class_path: str, about: AlertedJob) -> AbstractContextManager[None]:
    return _reported(
        f"No call of {class_path} about job {about.job!r}", "check `notify` in meltano.yml"
    )


@contextmanager
def _reported(what: str, hint: str) -> Iterator[None]:
    """Make one line of the log of whatever is raised: an alert is no part of the task."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - what a server or a notifier raises is anybody's guess
        reason = " ".join(error_text(error).split()).rstrip(".")
        _log.warning("%s: %s; %s", what, reason, hint)
