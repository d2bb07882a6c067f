import json

import pytest

from dag_factory.errors import Code, Severity
from dag_factory.project import read_project


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
    assert job.items == (("tap-a", "target-x"), ("dbt", "dbt:test"))
    assert job.location.line == 3
    (schedule,) = project.schedules
    assert (schedule.cron, schedule.env) == ("0 0 * * *", {"A": "b"})
    assert [each.name for each in project.environments] == ["dev", "prod"]
    assert {each.name: each.type for each in project.plugins}["mapper"] == "mappers"


@pytest.mark.parametrize(
    ("interval", "cron"),
    [
        ("'@once'", None),
        ("'@manual'", None),
        ("null", None),
        ("''", None),
        ("'@weekly'", "0 0 * * 0"),
        ("0 6 * * 1-5", "0 6 * * 1-5"),
    ],
)
def test_an_interval_means_what_meltano_means(write_project, interval, cron):
    root = write_project(
        f"""
        jobs: [{{name: j, tasks: [tap-a target-x]}}]
        schedules: [{{name: s, job: j, interval: {interval}}}]
        """
    )
    project, problems = read_project(root)
    assert not problems
    assert project.schedules[0].cron == cron


@pytest.mark.parametrize(
    "interval",
    [
        "'61 * * * *'",
        "every day",
        "5",
        "'* * * * * *'",
        "'@Daily'",
        "[1]",
        "'0 0 31 2 x'",
        "'0 0 31 2 *'",
        "'R R * * *'",
        "'H 0 * * *'",
    ],
)
def test_an_interval_that_airflow_would_refuse_leaves_the_schedule_out(write_project, interval):
    root = write_project(
        f"""
        jobs: [{{name: j, tasks: [tap-a target-x]}}]
        schedules:
        - {{name: bad, job: j, interval: {interval}}}
        - {{name: good, job: j, interval: '@daily'}}
        """
    )
    project, (problem,) = read_project(root)
    assert problem.code is Code.INVALID_INTERVAL
    assert problem.location.line == 4
    assert [each.name for each in project.schedules] == ["good"]


@pytest.mark.parametrize(
    ("tasks", "code"),
    [
        ("tap-a target-x", Code.INVALID_TASKS),
        ("[]", Code.INVALID_TASKS),
        ("null", Code.INVALID_TASKS),
        ("[1]", Code.INVALID_TASKS),
        ("[tap-a  target-x]", Code.INVALID_TASKS),
        ("[[]]", Code.INVALID_TASKS),
        ("[{a: b}]", Code.INVALID_TASKS),
    ],
)
def test_tasks_that_meltano_cannot_run_leave_that_job_out(write_project, tasks, code):
    root = write_project(
        f"""
        jobs:
        - {{name: bad, tasks: {tasks}}}
        - {{name: good, tasks: [tap-a target-x]}}
        """
    )
    project, (problem,) = read_project(root)
    assert problem.code is code
    assert "'bad'" in problem.message
    assert [job.name for job in project.jobs] == ["good"]


def test_an_extra_key_on_a_job_is_fatal_to_meltano_and_said_so(write_project):
    root = write_project("jobs: [{name: j, tasks: [tap-a target-x], env: {A: b}}]\n")
    (problem,) = read_project(root)[1]
    assert problem.severity is Severity.PROJECT
    assert "env" in problem.message


def test_the_first_of_two_equal_names_wins_with_a_warning(write_project):
    root = write_project(
        """
        jobs:
        - {name: j, tasks: [tap-a target-x]}
        - {name: j, tasks: [tap-b target-x]}
        """
    )
    project, (problem,) = read_project(root)
    assert problem.severity is Severity.WARNING
    assert project.jobs[0].items == (("tap-a", "target-x"),)


def test_the_first_of_two_equal_names_counts_even_where_it_is_wrong(write_project):
    root = write_project(
        """
        jobs:
        - {name: j, tasks: tap-a}
        - {name: j, tasks: [tap-b target-x]}
        """
    )
    project, _ = read_project(root)
    assert not project.jobs
    assert codes(root) == [Code.INVALID_TASKS, Code.DUPLICATE_NAME]


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
    entry = "{name: x, job: j, interval: '@daily', annotations: {airflow: {retries: 1}}}"
    if holder == "environments":
        entry = "{name: x, annotations: {airflow: {retries: 1}}}"
    text = f"{holder}: [{entry}]\njobs: [{{name: j, tasks: [dbt]}}]\n"
    assert codes(write_project(text, plugins="")) == [Code.INVALID_OPTION]


def test_an_unknown_job_gets_a_guess(write_project):
    root = write_project(
        """
        jobs: [{name: customers, tasks: [tap-a target-x]}]
        schedules: [{name: s, job: custmers, interval: '@daily'}]
        """
    )
    (problem,) = read_project(root)[1]
    assert problem.code is Code.UNKNOWN_JOB
    assert "'customers'" in problem.hint


def test_schedule_env_must_be_text(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [tap-a target-x]}]
        schedules: [{name: s, job: j, interval: '@daily', env: {A: 1, B: 'x', C: true}}]
        """
    )
    assert codes(root) == [Code.INVALID_SCHEDULE_ENV] * 2


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(write_project):
    root = write_project(
        """
        jobs:
        - {name: a, tasks: x}
        - {name: 5, tasks: [tap-a target-x]}
        - nothing
        schedules:
        - {name: s, job: nope, interval: '@daily'}
        annotations: {airflow: {retrys: 3}}
        """
    )
    _, problems = read_project(root)
    assert [(problem.code, problem.location.line) for problem in problems] == [
        (Code.INVALID_TASKS, 3),
        (Code.INVALID_NAME, 4),
        (Code.WRONG_SHAPE, 5),
        (Code.UNKNOWN_JOB, 7),
        (Code.INVALID_OPTION, 8),
    ]


def test_json_is_yaml_too(write_project):
    root = write_project("include_paths: ['*.json']\n")
    (root / "jobs.json").write_text(json.dumps({"jobs": [{"name": "j", "tasks": ["dbt"]}]}))
    assert read_project(root)[0].jobs[0].name == "j"
