import json

import pytest

from dag_factory.cli.secrets.needs import State, read_needs, report_secrets
from dag_factory.errors import Severity
from dag_factory.planning.secret_names import SecretName
from dag_factory.secrets.aws import ACCESS_DENIED, Fault, Fetched
from dag_factory.settings import Settings
from tests.support.secret_project import CONTENT, SECRETS_PLUGINS, job

TAP_A, TAP_B = (SecretName("acme", "dev", each) for each in ("tap-a", "tap-b"))
TIMES = {TAP_A: None}


def needs_of(write_project, text):
    root = write_project(text, plugins=SECRETS_PLUGINS)
    return read_needs(Settings(root, secrets_prefix="acme"))


def test_a_secret_knows_the_jobs_that_read_it_and_its_plugin(write_project):
    text = "jobs: [{name: x, tasks: ['tap-a target-x']}, {name: y, tasks: ['tap-b target-open']}]\n"
    needs, problems = needs_of(write_project, text)
    assert problems == ()
    assert [(each.name.short_name, each.jobs, each.is_own) for each in needs] == [
        ("tap-a", ("x", "y"), True),
        ("tap-b", ("y",), True),
        ("target-x", ("x",), True),
    ]
    tap_a, tap_b, _ = needs
    assert [each.name for each in tap_a.sensitive] == ["token", "auth.user"]
    assert tap_b.others == (TAP_A,)


def test_one_that_is_only_inherited_from_is_not_a_tasks_own(write_project):
    (tap_a, tap_b), _ = needs_of(write_project, job("tap-b target-open"))
    assert (tap_a.is_own, tap_b.is_own) == (False, True)


def test_the_dag_of_the_state_needs_secrets_too(write_project):
    annotations = "annotations: {airflow: {secrets: [database]}}\n"
    needs, _ = needs_of(write_project, annotations + job("tap-open target-open"))
    assert [(each.name.short_name, each.jobs, each.plugin) for each in needs] == [
        ("database", ("j", "meltano_state"), None)
    ]


def test_the_image_of_pods_need_not_be_known(write_project):
    (need,), problems = needs_of(write_project, job("tap-a target-open", runner="kubernetes"))
    assert (need.name.short_name, need.from_aws) == ("tap-a", True)
    assert all(each.severity is Severity.WARNING for each in problems)


@pytest.mark.parametrize(
    ("fault", "since", "state"),
    [
        (None, {}, State.MISSING),
        (Fault("ResourceNotFoundException"), {}, State.MISSING),
        (ACCESS_DENIED, {}, State.DENIED),
        (ACCESS_DENIED, TIMES, State.MISSING),
        (Fault("DecryptionFailure", of_key=True), {}, State.DENIED),
        (Fault("InternalServiceError"), {}, State.UNREADABLE),
    ],
)
def test_why_there_is_nothing_of_a_secret(write_project, fault, since, state):
    needs, _ = needs_of(write_project, job("tap-a target-open"))
    faults = {TAP_A: fault} if fault else {}
    [report] = report_secrets(needs, Fetched({}, faults, "r"), since)
    assert report.state is state
    assert report.state.is_wrong
    assert report.hint


def test_no_report_shows_a_value(write_project):
    needs, _ = needs_of(write_project, job("tap-a target-open"))
    for text in (json.dumps({"token": CONTENT}), CONTENT):
        fetched = Fetched({TAP_A: text}, {}, "r")
        [report] = report_secrets(needs, fetched, {})
        assert CONTENT not in repr(report)
        assert CONTENT not in repr(fetched)


def test_settings_of_a_malformed_parent_do_not_count(write_project):
    needs, _ = needs_of(write_project, job("tap-b target-open"))
    texts = {TAP_B: '{"token": "t"}', TAP_A: "no object"}
    [tap_a, tap_b] = report_secrets(needs, Fetched(texts, {}, "r"), {})
    assert tap_a.state is State.MALFORMED
    assert tap_b.lacking == ("auth.user",)
