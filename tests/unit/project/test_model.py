import json

import pytest

from dag_factory.errors import Code, Severity
from dag_factory.project.model import read_project


def codes(root):
    return [problem.code for problem in read_project(root)[1]]


def test_jobs_schedules_environments_and_plugins_are_read(write_project):
    root = write_project(
        """
        jobs:
        - name: load
          tasks: [tap-a target-x, [dbt, dbt:test]]
        schedules:
        - {name: nightly, job: load, interval: '@daily', env: {A: 'b'}}
        """
    )
    project, problems = read_project(root)
    assert not problems
    (job,) = project.jobs
    assert job.tasks == ["tap-a target-x", ["dbt", "dbt:test"]]
    assert job.location.line == 3
    (schedule,) = project.schedules
    assert (schedule.cron_interval, schedule.env) == ("0 0 * * *", {"A": "b"})
    assert [each.name for each in project.environments] == ["dev", "prod"]
    assert {each.name: each.type for each in project.plugins}["mapper"] == "mappers"


def test_an_extra_key_on_a_job_is_fatal_to_meltano_and_said_so(write_project):
    root = write_project("jobs: [{name: j, tasks: [tap-a target-x], env: {A: b}}]\n")
    (problem,) = read_project(root)[1]
    assert problem.severity is Severity.PROJECT
    assert "env" in problem.message


@pytest.mark.parametrize(
    ("main", "included"),
    [
        ("jobs: [{name: a, tasks: [dbt]}]\n", "jobs:\n"),
        ("jobs:\n", "jobs: [{name: a, tasks: [dbt]}]\n"),
        ("jobs: [{name: a, tasks: [dbt]}]\n", "jobs: {name: b}\n"),
        ("", "plugins: {loaders: [{name: x}, {name: x}]}\n"),
        ("", "plugins: [{name: x}]\n"),
        ("", "plugins: loaders\n"),
    ],
)
def test_what_meltano_cannot_merge_is_a_problem_of_the_project(write_project, main, included):
    root = write_project(f"include_paths: [more.yml]\n{main}", more=included)
    project, (problem,) = read_project(root)
    assert project is None
    assert problem.code is Code.WRONG_SHAPE


def test_an_extra_key_of_an_environment_is_fatal_to_meltano_and_said_so(write_project):
    root = write_project(plugins="environments: [{name: dev, schedules: []}]\n")
    assert codes(root) == [Code.WRONG_SHAPE]


def test_a_plugin_type_without_plugins_is_fatal_to_meltano_and_said_so(write_project):
    root = write_project(plugins="plugins:\n  extractors:\n")
    (problem,) = read_project(root)[1]
    assert (problem.code, problem.location.line) == (Code.WRONG_SHAPE, 2)


@pytest.mark.parametrize("holder", ["schedules", "environments"])
def test_options_where_none_are_read_are_not_ignored_in_silence(write_project, holder):
    entry = "{name: x, job: j, interval: '@daily', annotations: {airflow: {after: j}}}"
    if holder == "environments":
        entry = "{name: x, annotations: {airflow: {after: j}}}"
    text = f"{holder}: [{entry}]\njobs: [{{name: j, tasks: [dbt]}}]\n"
    assert codes(write_project(text, plugins="")) == [Code.INVALID_OPTION]


def test_json_is_yaml_too(write_project):
    root = write_project("include_paths: ['*.json']\n")
    (root / "jobs.json").write_text(json.dumps({"jobs": [{"name": "j", "tasks": ["dbt"]}]}))
    assert read_project(root)[0].jobs[0].name == "j"
