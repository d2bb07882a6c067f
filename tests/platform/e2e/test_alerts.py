"""Who hears of a job that fails, is tried again, or is late: mail through a real SMTP server."""

import io
import json
from contextlib import redirect_stdout

import pytest
from tap_airflow.tap import TapAirflow

from tests.support.mail_server import serving_mail
from tests.support.running import finished, shown, wait_until

pytestmark = pytest.mark.faults
NAMED = {
    "class": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    "kwargs": {
        "to": "oncall@example.com",
        "subject": "{{ ti.task_id }} by name",
        "html_content": "<p>{{ exception }}</p>",
    },
    "events": ["failure"],
}
OPTIONS = {
    "retries": 1,
    "retry_delay": "1s",
    "deadline": "1s",
    "email": ["data@example.com", "boss@example.com"],
    "email_on": ["failure", "retry", "deadline"],
    "notify": [NAMED],
}
TASK = "tap-refused-to-target-duckdb"


@pytest.fixture(scope="module")
def server(api):
    """A mail server that the running Airflow knows as `smtp_default`."""
    with serving_mail() as server:
        connection = {**server.connection, "extra": json.dumps(server.connection["extra"])}
        made = {"connection_id": "smtp_default", **connection}
        api.post("connections", json=made).raise_for_status()
        yield server
        api.delete("connections/smtp_default").raise_for_status()


def add_refused_job(data):
    tap = {"name": "tap-refused", "inherit_from": "tap-airflow", "config": {"password": "wrong"}}
    data["plugins"] = {"extractors": [tap]}
    annotations = {"airflow": OPTIONS}
    tasks = ["tap-refused target-duckdb"]
    data["jobs"].append({"name": "refused", "tasks": tasks, "annotations": annotations})


@pytest.fixture(scope="module")
def refused(api, edit_for_module, trigger, server):
    """A run that has failed, after a retry."""
    edit_for_module(add_refused_job)
    wait_until(lambda: shown(api, "refused"), 60, "the DAG")
    run = trigger("refused")
    assert wait_until(lambda: finished(api, run), 120, "its end") == "failed"
    return run


@pytest.mark.usefixtures("refused")
def test_a_retry_a_failure_and_a_missed_deadline_are_mailed(airflow, server):
    wait_until(lambda: len(server.mails) == 4, 60, "four mails")
    mails = {
        mail["Subject"]: (mail, to)
        for mail, to in zip(server.mails, server.recipients, strict=True)
    }
    retried, failed, late = (
        mails[f"[dev] {subject}"]
        for subject in (
            f"RETRY refused / {TASK} (attempt 1 of 2)",
            f"FAILED refused / {TASK} (attempt 2 of 2)",
            "LATE refused: not finished after 1s",
        )
    )
    for mail, to in (retried, failed, late):
        assert to == OPTIONS["email"]
        plain = mail.get_body(["plain"]).get_content()
        for body in (plain, mail.get_body(["html"]).get_content()):
            assert "triggered manually" in body
            assert f"{airflow.url}/dags/refused/runs/manual__" in body
    for mail, _ in (retried, failed):
        assert "tap-refused: " in mail.get_body(["plain"]).get_content()
        assert f"/tasks/{TASK}?try_number=" in mail.get_body(["html"]).get_content()
    named, to = mails[f"{TASK} by name"]
    assert to == ["oncall@example.com"]
    assert "Meltano failed with exit code 1" in named.get_payload()[0].get_content()


def test_tap_airflow_reads_each_try_that_failed_and_why(airflow, refused):
    config = {"api_url": airflow.url, "username": airflow.username, "password": airflow.password}
    tap = TapAirflow(config=config)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        tap.sync_all()
    out.seek(0)
    messages = [json.loads(line) for line in out]
    failures = [
        each["record"]
        for each in messages
        if each["type"] == "RECORD" and each["stream"] == "task_failures"
    ]
    of_run = [each for each in failures if refused.endswith(each["dag_run_id"])]
    assert [(each["try_number"], each["task_id"]) for each in of_run] == [(1, TASK), (2, TASK)]
    for each in of_run:
        assert each["error"].startswith("Meltano failed with exit code 1: tap-refused: ")
        assert each["end_date"] > each["start_date"]
