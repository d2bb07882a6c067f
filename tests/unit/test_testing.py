"""The integrity tests for other repositories, each on a project that it must fail."""

import os
from dataclasses import replace
from textwrap import dedent
from uuid import uuid4

import pytest

from dag_factory.options.values import After
from dag_factory.planning.plan import legal_id
from dag_factory.settings import Settings
from dag_factory.testing import DagTests
from tests.support.plans import PLAN, schedules
from tests.support.small_project import PLUGINS

GOOD = """
annotations: {airflow: {owner: data, email: data@example.com}}
jobs:
- {name: load, tasks: [tap-a target-x, 'dbt:run']}
- {name: by hand, tasks: [dbt]}
schedules: [{name: nightly, job: load, interval: '@daily'}]
"""
THREE_LINES = """
from dag_factory.testing import get_dag_test_class

TestDags = get_dag_test_class({!r}, environment={!r})
"""
DIGEST = legal_id("by hand")[-8:]
LONG_TAG = f"{{tags: [{'x' * 101}]}}"


class Recorder:
    """Keeps what pytest says of each test."""

    def __init__(self):
        self.reports = []

    def pytest_runtest_logreport(self, report):
        self.reports.append(report)


@pytest.fixture
def run(tmp_path):
    """Run the three lines of the README on a project; return what failed, passed and was said."""

    def start(project, environment="dev"):
        (tmp_path / "meltano.yml").write_text(dedent(project) + PLUGINS)
        file = tmp_path / f"test_dags_{uuid4().hex}.py"  # pytest remembers modules by their names
        file.write_text(THREE_LINES.format(str(tmp_path), environment))
        recorder = Recorder()
        options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--import-mode=importlib"]
        pytest.main([*options, str(file)], plugins=[recorder])
        failed = [each for each in recorder.reports if each.failed]
        passed = [each for each in recorder.reports if each.passed and each.when == "call"]
        names = [each.nodeid.rpartition("::")[2] for each in failed]
        return names, len(passed), "".join(each.longreprtext for each in failed)

    return start


def test_a_good_project_passes_them_all(run):
    failed, passed, _ = run(GOOD)
    assert failed == []
    assert passed == 3 + 2 * 8


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("owner: data, ", ""), "test_somebody_owns_the_dag"),
        (("email: data@example.com", "email: []"), "test_somebody_hears_of_failures"),
        (
            ("data@example.com", "data@example.com, email_on: [retry]"),
            "test_somebody_hears_of_failures",
        ),
        (("owner: data", "owner: data, retries: 0"), "test_tasks_are_tried_again"),
    ],
)
def test_each_dag_that_does_not_keep_a_rule_is_named(run, change, rule):
    failed, _, output = run(GOOD.replace(*change))
    assert failed == [f"{rule}[load]", f"{rule}[by_hand.{DIGEST}]"]
    assert "meltano.yml:4: job 'load': set `" in output


POD = """
runner: kubernetes, image: 'meltano:1', pod_override: {spec: {
  containers: [{name: proxy, image: 'proxy:1'}, {name: base, envFrom: [{secretRef: {name: m}}]}],
  initContainers: [{name: init, image: 'init:1'}]}}
"""


@pytest.mark.parametrize("name", ["proxy", "init"])
def test_each_dag_with_an_image_that_moves_is_named(run, name):
    in_pods = GOOD.replace("owner: data", f"owner: data, {POD}".replace("\n", " "))
    assert run(in_pods)[0] == []
    failed, _, output = run(in_pods.replace(f"{name}:1", name))
    rule = "test_images_of_pods_are_pinned"
    assert failed == [f"{rule}[load]", f"{rule}[by_hand.{DIGEST}]"]
    said = f"'{name}' of tap-a-to-target-x, '{name}' of dbt.run"
    assert f"job 'load': give a version to the image {said}" in output


def test_pods_whose_own_image_moves_are_no_dags_and_said(run):
    in_pods = GOOD.replace("owner: data", "owner: data, runner: kubernetes, image: meltano")
    failed, _, output = run(in_pods)
    assert failed == ["test_the_project_has_no_problems", "test_some_job_has_a_dag"]
    assert "MDF032 the image 'meltano' is not pinned" in output


def test_a_dag_that_airflow_refuses_is_named_with_the_reason(run):
    project = GOOD.replace("tasks: [dbt]", f"tasks: [dbt], annotations: {{airflow: {LONG_TAG}}}")
    failed, _, output = run(project)
    assert failed == [f"test_airflow_takes_the_dag[by_hand.{DIGEST}]"]
    assert "MDF040" in output


def test_a_schedule_that_cannot_run_is_said_with_its_line(run):
    wrong = "schedules: [{name: bad, job: lod, interval: '@daily'}, "
    failed, _, output = run(GOOD.replace("schedules: [", wrong))
    assert failed == ["test_the_project_has_no_problems"]
    assert "meltano.yml:6: MDF020" in output


def test_a_secret_in_clear_is_found(run):
    failed, _, output = run(GOOD + "state_backend: {uri: 's3://key:kq8Zs1xLw0@bucket/state'}\n")
    assert failed == ["test_no_secret_stands_in_clear"]
    assert "MDF050" in output


def test_an_environment_without_jobs_is_not_good(run):
    project = """
        jobs: [{name: j, tasks: [dbt], annotations: {airflow: {environments: [dev]}}}]
    """
    failed, _, _ = run(project, environment="prod")
    assert failed == ["test_some_job_has_a_dag"]


class Changing(After):
    """Is said in other words each time."""

    def __str__(self):
        return uuid4().hex


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("test_ids_are_legal", {"dag_id": "no id"}),
        ("test_ids_are_legal", {"tasks": PLAN.tasks[:1] * 2}),
        ("test_schedules_can_fire", {"schedules": schedules("61 * * * *")}),
        ("test_the_dag_is_the_same_whenever_it_is_built", {"after": Changing(("a",))}),
    ],
)
def test_what_no_project_should_bring_about_would_be_found(rule, changes, tmp_path):
    class Tests(DagTests):
        settings = Settings(tmp_path)

    keeps = getattr(Tests(), rule)
    keeps(PLAN)
    with pytest.raises(AssertionError):
        keeps(replace(PLAN, **changes))
