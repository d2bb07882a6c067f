import asyncio
import json
import logging
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace
from uuid import uuid4

import pytest
import structlog
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.dag_processing.processor import _execute_task_callbacks
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.api.datamodels._generated import DagRun, TaskInstance, TIRunContext
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.log import mask_secret
from airflow.serialization.serialized_objects import DagSerialization

from dag_factory.airflow.alert_mail import AlertedJob, deadline_mail, duration_text, task_mail
from dag_factory.airflow.alerts import deadline_alert, deadline_missed, task_callbacks
from dag_factory.options.catalog import DagOptions
from dag_factory.options.values import Notifier
from tests.support import notifiers
from tests.support.mail_server import serving_mail

JOB = AlertedJob("crm_contacts", "prod", "nightly: 0 2 * * * Europe/Prague")
ALL = ("failure", "retry", "deadline")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = {
    "dag_id": "crm_contacts",
    "run_id": "scheduled__2026-11-22T12:00:00+00:00",
    "logical_date": NOON,
    "data_interval_start": NOON,
    "data_interval_end": NOON,
    "run_after": NOON,
    "start_date": NOON,
    "run_type": "scheduled",
    "state": "running",
    "conf": None,
    "consumed_asset_events": [],
}
# As in models/deadline.py: there is no task, and dates are text.
LATE = {
    "dag_run": {
        "dag_run_id": "manual__1",
        "dag_id": "crm_contacts",
        "run_type": "manual",
        "logical_date": None,
        "state": "running",
    },
    "deadline": {"id": "1", "deadline_time": NOON},
}


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.text += data


def make_dag(**callbacks):
    with DAG("crm_contacts", schedule=None) as dag:
        BaseOperator(task_id="tap-crm-to-target-snowflake", retries=2, **callbacks)
    return dag


def in_worker(exception=None, **run):
    """Return the context of a task in its last attempt, as a worker makes it."""
    (task,) = make_dag().tasks
    ti = RuntimeTaskInstance.model_construct(
        id=uuid4(),
        task_id=task.task_id,
        dag_id="crm_contacts",
        run_id=RUN["run_id"],
        try_number=3,
        max_tries=2,
        start_date=NOON,
        end_date=NOON + timedelta(minutes=12, seconds=3),
        task=task,
        _ti_context_from_server=server_context(**run),
    )
    return {**ti.get_template_context(), "exception": exception}


def server_context(**run):
    dag_run = DagRun.model_construct(**RUN | run, partition_key=None, partition_date=None)
    return TIRunContext.model_construct(dag_run=dag_run, max_tries=2, task_reschedule_count=0)


def failure(text="Meltano failed with exit code 1: tap-crm: 401", job=JOB, **run):
    return task_mail(job, "failure", in_worker(AirflowException(text), **run))


def options(email=("a@example.com",), email_on=ALL, notify=(), deadline=timedelta(hours=2)):
    return DagOptions(email=email, email_on=email_on, notify=notify, deadline=deadline)


def notifier(name, on=ALL, **kwargs):
    return Notifier(f"{notifiers.__name__}.{name}", kwargs, on)


@pytest.fixture
def server(monkeypatch):
    with serving_mail() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(server.connection))
        yield server


@pytest.fixture(autouse=True)
def told():
    notifiers.TOLD.clear()
    return notifiers.TOLD


def run_callbacks(context, event="failure", **alerts):
    for callback in task_callbacks(JOB, options(**alerts))[f"on_{event}_callback"]:
        callback(context)


def run_deadline(**alerts):
    """Call the function that Airflow would call, with arguments as its database returns them."""
    alert = deadline_alert(JOB, options(**alerts))
    assert alert.callback.path == "dag_factory.airflow.alerts.deadline_missed"
    asyncio.run(deadline_missed(**json.loads(json.dumps(alert.callback.kwargs)), context=LATE))


def test_the_subject_names_environment_event_task_and_attempt():
    assert failure().subject == (
        "[prod] FAILED crm_contacts / tap-crm-to-target-snowflake (attempt 3 of 3)"
    )
    assert task_mail(JOB, "retry", in_worker()).subject == (
        "[prod] RETRY crm_contacts / tap-crm-to-target-snowflake (attempt 3 of 3)"
    )
    assert deadline_mail(JOB, "2h", LATE).subject == (
        "[prod] LATE crm_contacts: not finished after 2h"
    )


def test_both_forms_of_the_mail_contain_all_facts():
    mail = failure()
    page = Page(mail.html)
    for words in (
        *("crm_contacts", "tap-crm-to-target-snowflake", "prod", "3 of 3", "12m 3s"),
        "nightly: 0 2 * * * Europe/Prague",
        *("scheduled, for 2026-11-22 12:00 UTC", "scheduled__2026-11-22T12:00:00+00:00"),
        "Meltano failed with exit code 1: tap-crm: 401",
    ):
        assert words in mail.text
        assert words in page.text
    run = (
        "http://localhost:8080/dags/crm_contacts/runs/scheduled__2026-11-22T12%3A00%3A00%2B00%3A00"
    )
    log, _ = page.links
    assert page.links == [f"{run}/tasks/tap-crm-to-target-snowflake?try_number=3", run]
    assert f"Log: {log}\nRun: {run}\n" in mail.text


def test_the_mail_about_a_late_run_contains_all_facts():
    mail = deadline_mail(JOB, "2h", LATE)
    page = Page(mail.html)
    for words in (
        *(
            "crm_contacts",
            "prod",
            "triggered manually",
            "manual__1",
            "running",
            "2026-11-22 12:00 UTC",
        ),
        "nightly: 0 2 * * * Europe/Prague",
        "The run has not finished 2h after it was queued.",
    ):
        assert words in mail.text
        assert words in page.text
    assert page.links == ["http://localhost:8080/dags/crm_contacts/runs/manual__1"]
    assert "<pre" not in mail.html


@pytest.mark.parametrize(
    ("run_type", "words"),
    [
        ("manual", "triggered manually"),
        ("backfill", "backfill, for 2026-11-22 12:00 UTC"),
        ("asset_triggered", "triggered by another job (asset)"),
        ("operator_triggered", "triggered by another DAG"),
        ("yet_unknown", "yet_unknown"),
    ],
)
def test_the_cause_of_a_run_is_in_words(run_type, words):
    assert f"\nRun          {words}\n" in failure(run_type=run_type).text


def test_the_text_of_an_error_is_neither_a_template_nor_html():
    error = "{{ 7 * 7 }} {% raw %} <script>alert(1)</script> & \"'</pre>"
    mail = failure(error)
    assert error in mail.text
    page = Page(mail.html)
    assert error in page.text
    assert "script" not in page.tags


def test_a_newline_in_a_name_does_not_begin_a_header(server):
    job = AlertedJob("a\r\nBcc: evil@example.com\x00\u2028<b>", "pr\nod")
    callbacks = task_callbacks(job, options())
    callbacks["on_failure_callback"][0](in_worker(AirflowException("x")))
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[pr od] FAILED a Bcc: evil@example.com <b> / tap-crm")
    assert server.recipients == [["a@example.com"]]
    assert "b" not in Page(mail.get_body(["html"]).get_content()).tags


@pytest.mark.parametrize(
    ("exception", "words"),
    [
        (AirflowException("Meltano was killed by SIGKILL"), "Meltano was killed by SIGKILL"),
        (KeyError("env"), "KeyError: 'env'"),
        (TimeoutError(), "TimeoutError"),
        (AirflowException(), "AirflowException"),
        ("a text", "a text"),
    ],
)
def test_the_type_of_an_error_is_named_unless_it_is_airflow_exception(exception, words):
    mail = task_mail(JOB, "failure", in_worker(exception))
    assert f"\n\n{words}\n\nJob" in mail.text


def test_a_long_error_is_cut_but_never_inside_a_secret():
    mask_secret("sesame-open")
    error = "x" * 1_995 + "sesame-open" + "y" * 9_000
    mail = failure(error)
    assert "x" * 1_995 + "***yy\n… (see the log for the rest)" in mail.text
    assert "sesame" not in mail.text + mail.html


def test_characters_that_cannot_be_printed_are_left_out():
    assert "a b\n\tc  d" in failure("a\x07b\n\tc\r\udcffd").text


@pytest.mark.parametrize("context", [{}, {"ti": None, "dag_run": None}, {"dag_run": {}}])
def test_whatever_the_context_lacks_is_left_out(context):
    assert task_mail(JOB, "failure", context).subject == "[prod] FAILED crm_contacts"
    late = deadline_mail(JOB, "2h", context)
    assert "Run" not in Page(late.html).text.replace("The run", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0s"), (59.7, "1m"), (7200, "2h"), (5400, "1h 30m"), (172_801, "2d 1s")],
)
def test_a_duration_is_in_words(seconds, words):
    assert duration_text(timedelta(seconds=seconds)) == words


def test_a_mail_has_plain_text_first_and_html_second(server):
    run_callbacks(in_worker(AirflowException("é {{ x }}")), email=("a@example.com", "b@x.org"))
    (mail,) = server.mails
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert "é {{ x }}" in plain.get_content()
    assert "é {{ x }}" in Page(html.get_content()).text
    assert mail["From"] == "airflow@example.com"
    assert mail["To"] == "a@example.com, b@x.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert server.recipients == [["a@example.com", "b@x.org"]]


def test_a_missed_deadline_is_mailed(server):
    run_deadline()
    assert server.mails[0]["Subject"] == "[prod] LATE crm_contacts: not finished after 2h"


def test_the_dag_processor_mails_about_a_task_whose_worker_died(server):
    """Its context has neither an exception nor a start."""
    dag = make_dag(**task_callbacks(JOB, options()))
    instance = TaskInstance(
        id=uuid4(),
        task_id=dag.tasks[0].task_id,
        dag_id=dag.dag_id,
        run_id=RUN["run_id"],
        try_number=1,
        dag_version_id=uuid4(),
    )
    request = TaskCallbackRequest.model_construct(
        ti=instance,
        task_callback_type="up_for_retry",
        context_from_server=server_context(),
    )
    dag_bag = SimpleNamespace(dags={dag.dag_id: dag})
    _execute_task_callbacks(dag_bag, request, structlog.get_logger())
    (mail,) = server.mails
    assert "(attempt 1 of 3)" in mail["Subject"]
    text = mail.get_body(["plain"]).get_content()
    assert "its worker died" in text
    assert "Duration" not in text


def test_a_mail_that_cannot_be_sent_is_one_line_with_a_hint(monkeypatch, caplog):
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_DEFAULT", raising=False)
    run_callbacks(in_worker())
    with serving_mail() as stopped:
        pass
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(stopped.connection))
    run_callbacks(in_worker())
    missing, down = (each for each in caplog.records if each.name == "dag_factory.airflow.alerts")
    for record in (missing, down):
        assert record.levelno == logging.WARNING
        assert record.exc_info is None
        assert "\n" not in record.getMessage()
        assert "connection smtp_default with host, port" in record.getMessage()
    assert missing.getMessage().startswith(
        "Could not mail a@example.com about job 'crm_contacts': SMTP connection is not found; "
    )
    assert "Connection refused" in down.getMessage()


def test_an_alert_that_fails_does_not_stop_the_others(server, told, caplog):
    failing = [
        notifier("Broken"),
        notifier("Recorder", wrong=1),
        notifier("Nobody"),
        Notifier("no_such_module.X", {}, ALL),
    ]
    run_callbacks(in_worker(), notify=(*failing, notifier("Recorder", text="hello")))
    assert len(server.mails) == 1
    assert [text for text, _, _ in told] == ["hello"]
    lines = [
        each.getMessage() for each in caplog.records if each.name == "dag_factory.airflow.alerts"
    ]
    assert len(lines) == len(failing)
    assert lines[0] == (
        f"Could not call {notifiers.__name__}.Broken about job 'crm_contacts': "
        "ConnectionError: no answer from the service; check `notify` in meltano.yml"
    )
    assert "unexpected keyword argument 'wrong'" in lines[1]
    assert "has no attribute 'Nobody'" in lines[2]
    assert "No module named 'no_such_module'" in lines[3]


def test_a_notifier_gets_the_context_for_its_own_templates(told):
    text = notifier("Recorder", text="{{ ti.task_id }} {{ exception }}")
    run_callbacks(in_worker(AirflowException("{{ x }}")), email=(), notify=(text, text))
    for said, context, _ in told:
        assert said == "tap-crm-to-target-snowflake {{ x }}"
        assert "spoilt" not in context


def test_a_deadline_reaches_notifiers_of_both_kinds(told, caplog):
    both = [notifier(name, text="{{ dag_run.dag_id }}") for name in ("Recorder", "AsyncRecorder")]
    run_deadline(email=(), notify=(notifier("Broken"), *both))
    assert [(text, in_main) for text, _, in_main in told] == [
        ("crm_contacts", False),  # it blocks, and the triggerer must not be blocked
        ("crm_contacts", True),
    ]
    (line,) = [each for each in caplog.records if each.name == "dag_factory.airflow.alerts"]
    assert f"Could not call {notifiers.__name__}.Broken" in line.getMessage()


def test_there_is_no_alert_that_notifies_nobody():
    assert task_callbacks(JOB, options(email=())) == {}
    assert task_callbacks(JOB, options(email_on=("deadline",))) == {}
    assert list(task_callbacks(JOB, options(email_on=("retry",)))) == ["on_retry_callback"]
    assert deadline_alert(JOB, options(email_on=("failure",))) is None
    assert deadline_alert(JOB, options(deadline=None)) is None
    slack = notifier("Recorder", on=("retry", "deadline"), text="x")
    mixed = options(email_on=("failure",), notify=(slack,))
    callbacks = task_callbacks(JOB, mixed)
    (failed,), (retried,) = callbacks["on_failure_callback"], callbacks["on_retry_callback"]
    assert (failed.email, failed.notify) == (("a@example.com",), ())
    assert (retried.email, retried.notify) == ((), (slack,))
    alert = deadline_alert(JOB, mixed)
    assert alert.callback.kwargs["email"] == []


def test_a_dag_with_alerts_has_the_same_bytes_each_time_and_its_callbacks_can_be_pickled():
    def build():
        chosen = options(notify=(notifier("Recorder", text="x"),))
        dag = make_dag(**task_callbacks(JOB, chosen))
        dag.deadline = [deadline_alert(JOB, chosen)]
        return dag

    first, second = (json.dumps(DagSerialization.to_dict(build())) for _ in range(2))
    assert first == second
    (callback,) = build().tasks[0].on_failure_callback
    assert pickle.loads(pickle.dumps(callback)) == callback  # noqa: S301 - our own


def test_building_alerts_imports_neither_mail_nor_notifiers():
    code = """
import datetime, sys
from pathlib import Path
from dataclasses import replace
from tests.support.plans import PLAN
from dag_factory.airflow.build import build_dag
from dag_factory.options.values import Notifier
notify = (Notifier("tests.support.notifiers.Recorder", {}, ("failure", "deadline")),)
options = replace(
    PLAN.options, email=("a@example.com",), notify=notify, deadline=datetime.timedelta(1)
)
dag = build_dag(replace(PLAN, options=options), Path())
assert dag.deadline and dag.tasks[0].on_failure_callback
unwanted = ("tests.support.notifiers", "airflow.providers.smtp.hooks.smtp")
print([each for each in sys.modules if each in unwanted])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr
