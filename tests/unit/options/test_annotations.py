"""Which place wins, and what is said of options in the wrong place."""

import pytest

from dag_factory.errors import Code
from dag_factory.planning.planned_project import OptionSources, check_project
from dag_factory.project.model import read_project
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems

EVERYWHERE = """
annotations: {airflow: {retries: 1, owner: top, tags: [top], dag: {fail_fast: true}}}
plugins:
  extractors:
  - {name: tap-a, namespace: a, annotations: {airflow: {retries: 3}}}
  - {name: tap-b, namespace: b}
  loaders:
  - {name: target-x, namespace: x, annotations: {airflow: {retries: 2, pool: x}}}
jobs:
- name: j
  tasks: [tap-a target-x, tap-b target-x]
  annotations:
    airflow:
      tags: [job, top]
      owner: job
      dag: {dagrun_timeout: 2h}
      pool: job
      tasks:
        tap-a-to-target-x: {pool: task, queue: task}
- {name: other, tasks: [tap-b target-x]}
environments:
- name: dev
- name: prod
  annotations:
    airflow:
      queue: prod
      owner: prod
      tags: [prod]
      jobs:
        j: {owner: on call, queue: on call}
default_environment: dev
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "meltano.yml").write_text(EVERYWHERE)
    return tmp_path


def plans(root, environment):
    found, problems = plans_and_problems(Settings(root, environment))
    assert [each for each in problems if each.code is not Code.SHARED_STATE] == []
    return {plan.job: plan for plan in found}


def test_the_nearest_place_wins_for_a_task(root):
    first, second = plans(root, "dev")["j"].tasks
    assert (first.options.retries, first.options.pool, first.options.queue) == (3, "task", "task")
    assert (second.options.retries, second.options.pool, second.options.queue) == (2, "job", None)


def test_an_environment_and_its_jobs_win_over_the_job(root):
    found = plans(root, "prod")
    assert (found["j"].options.owner, found["other"].options.owner) == ("on call", "prod")
    assert [task.options.queue for task in found["j"].tasks] == ["on call", "on call"]
    assert [task.options.queue for task in found["other"].tasks] == ["prod"]


def test_tags_and_mappings_add_up(root):
    options = plans(root, "prod")["j"].options
    assert options.tags == ("top", "job", "prod")
    assert options.dag == {"fail_fast": True, "dagrun_timeout": "2h"}


def test_each_value_that_is_set_knows_its_lines(root):
    sources = check_project(Settings(root, "prod")).option_sources(plans(root, "prod")["j"])
    of_items = {"dag.fail_fast": [2], "dag.dagrun_timeout": [16]}
    assert lines(sources.of_dag) == {"owner": [30], "tags": [2, 14, 28], "dag": [2, 16], **of_items}
    first, second = sources.of_tasks.values()
    assert lines(first) == {"retries": [5], "pool": [19], "queue": [30]}
    assert lines(second)["retries"] == [8]


def test_nothing_is_told_of_what_the_project_has_no_more(root):
    plan = plans(root, "prod")["j"]
    (root / "meltano.yml").write_text(EVERYWHERE.replace("- name: j\n", "- name: k\n"))
    assert check_project(Settings(root, "prod")).option_sources(plan) == OptionSources()
    (root / "meltano.yml").write_text(EVERYWHERE.replace(", tap-b target-x]", "]"))
    sources = check_project(Settings(root, "prod")).option_sources(plan)
    assert list(sources.of_tasks) == ["tap-a-to-target-x"]


@pytest.mark.parametrize(
    "option",
    [
        'description: "a\\0b"',
        'owner: "a\\nb"',
        f"pool: {'x' * 251}",
        f"owner_links: {{a: 'https://{'x' * 500}'}}",
        "dag: {max_active_tasks: 3000000000}",
        "operator: {x: .nan}",
        f"params: {{X: {{type: integer, maximum: {2**70}}}}}",
        "params: {X: {type: string, $ref: 'http://example.com'}}",
        "deadline: 9999999d",
    ],
)
def test_what_no_database_of_airflow_takes_is_a_problem(write_project, option):
    root = write_project(
        f"jobs: [{{name: j, tasks: [dbt], annotations: {{airflow: {{{option}}}}}}}]\n"
    )
    assert [each.code for each in read_project(root)[1]] == [Code.INVALID_OPTION]


@pytest.mark.parametrize("beside", ["airflow: {owner: me}, retries: 5", "retries: 5"])
def test_an_option_beside_airflow_is_told(write_project, beside):
    root = write_project(f"jobs: [{{name: j, tasks: [dbt], annotations: {{{beside}}}}}]\n")
    (problem,) = read_project(root)[1]
    assert problem.code is Code.UNKNOWN_ANNOTATIONS


def lines(sources):
    return {name: [place.line for place in places] for name, places in sources.items()}


def test_a_wrong_option_for_one_job_in_one_environment_leaves_that_job_out_there(write_project):
    root = write_project(
        """
        jobs: [{name: good, tasks: [dbt:run]}, {name: bad, tasks: [dbt]}]
        """,
        plugins="""
plugins: {utilities: [{name: dbt, namespace: dbt, commands: {run: run}}]}
environments:
- {name: dev}
- {name: prod, annotations: {airflow: {retries: 5, jobs: {bad: {retries: many}}}}}
default_environment: dev
""",
    )
    jobs = {
        environment: [plan.job for plan in plans_and_problems(Settings(root, environment))[0]]
        for environment in ("dev", "prod")
    }
    assert jobs == {"dev": ["good", "bad"], "prod": ["good"]}


def test_a_wrong_option_of_the_whole_project_is_said_and_leaves_nothing_out(write_project):
    root = write_project(
        """
        annotations: {airflow: {retries: many, owner: me}}
        jobs: [{name: j, tasks: [dbt]}]
        """
    )
    (plan,), (problem,) = plans_and_problems(Settings(root))
    assert problem.code is Code.INVALID_OPTION
    assert (plan.options.owner, plan.tasks[0].options.retries) == ("me", 2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("start_date: 2026-01-31", "2026-01-31T00:00:00"),
        ("start_date: '2026-01-31T06:00+01:00'", "2026-01-31T06:00:00+01:00"),
        ("retry_exponential_backoff: true", "2.0"),
        ("retry_exponential_backoff: 1.5", "1.5"),
        ("email: a@example.com", "['a@example.com']"),
        ("after: {any: [a]}", "a"),
        ("after: {any: [a, b]}", "a or b"),
        ("deadline: PT90M", "1:30:00"),
        ("operator: {end_date: 2026-01-31}", "{'end_date': '2026-01-31'}"),
    ],
)
def test_values_are_read_as_a_person_means_them(write_project, option, value):
    root = write_project(
        f"jobs: [{{name: j, tasks: [dbt], annotations: {{airflow: {{{option}}}}}}}]\n"
    )
    project, problems = read_project(root)
    assert not problems
    (found,) = project.jobs[0].options.values.values()
    said = found.isoformat() if hasattr(found, "isoformat") else found
    said = list(said) if isinstance(said, tuple) else said
    assert str(said) == value
