from dataclasses import replace

import pytest

from dag_factory.errors import Code, Severity
from dag_factory.plan import legal_id, plan_project
from dag_factory.project import read_project
from dag_factory.settings import Settings


def plan(root, **settings):
    project, problems = read_project(root)
    assert not problems
    return plan_project(project, Settings(root, **settings))


def plan_tasks(write_project, tasks):
    return plan(write_project(f"jobs: [{{name: j, tasks: {tasks}}}]\n"))


@pytest.mark.parametrize(
    ("tasks", "commands"),
    [
        ("[tap-a target-x]", ["tap-a target-x"]),
        ("[tap-a hide target-x, dbt:run]", ["tap-a hide target-x", "dbt:run"]),
        ("[tap-a, target-x]", ["tap-a target-x"]),
        ("[tap-a, hide, target-x, dbt]", ["tap-a hide target-x", "dbt"]),
        ("[[tap-a, target-x], [tap-b, target-x, dbt]]", ["tap-a target-x", "tap-b target-x dbt"]),
        ("[tap-a target-x tap-b, target-x]", ["tap-a target-x tap-b target-x"]),
    ],
)
def test_items_become_tasks_and_incomplete_ones_are_joined(write_project, tasks, commands):
    (dag,), problems = plan_tasks(write_project, tasks)
    assert not problems
    prefix = ("meltano", "run", "--no-install")
    assert [task.argv for task in dag.tasks] == [(*prefix, *each.split()) for each in commands]
    ids = [task.task_id for task in dag.tasks]
    assert [task.upstream for task in dag.tasks] == [None, *ids[:-1]]


@pytest.mark.parametrize(
    "tasks", ["[tap-a]", "[target-x]", "[hide target-x]", "[tap-a dbt]", "[tap-a tap-b target-x]"]
)
def test_what_is_no_block_sequence_is_a_problem(write_project, tasks):
    plans, (problem,) = plan_tasks(write_project, tasks)
    assert not plans
    assert problem.code is Code.NOT_A_BLOCK_SEQUENCE


@pytest.mark.parametrize("block", ["tap-z", "mapper", "dbt:a:b", "j"])
def test_a_block_that_meltano_does_not_find_is_a_problem(write_project, block):
    _, (problem,) = plan_tasks(write_project, f"[dbt, '{block}']")
    assert problem.code is Code.UNKNOWN_PLUGIN


def test_a_bad_job_does_not_hurt_a_good_one(write_project):
    root = write_project("jobs: [{name: bad, tasks: [tap-z]}, {name: good, tasks: [dbt]}]\n")
    plans, problems = plan(root)
    assert [each.job for each in plans] == ["good"]
    assert len(problems) == 1


def test_a_block_that_is_a_plugin_and_a_job_is_ambiguous_to_meltano(write_project):
    root = write_project("jobs: [{name: dbt, tasks: [dbt:run]}, {name: j, tasks: [dbt]}]\n")
    plans, (problem,) = plan(root)
    assert [each.job for each in plans] == ["dbt"]
    assert "is a plugin and a job" in problem.message


def test_a_name_is_looked_up_in_meltanos_order_of_plugin_types(write_project):
    plugins = """
environments: [{name: dev}]
default_environment: dev
plugins:
  transforms: [{name: tap-a}]
  loaders: [{name: target-x}]
  extractors: [{name: tap-a}]
"""
    root = write_project("jobs: [{name: j, tasks: [tap-a target-x]}]\n", plugins=plugins)
    assert plan(root)[1] == ()


def test_the_env_of_a_schedule_that_never_fires_is_of_no_account(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: by_hand, job: j, interval: '@once', env: {FULL: '1'}}
        - {name: nightly, job: j, interval: '@daily'}
        """
    )
    (dag,), _ = plan(root)
    assert (dag.crons, dag.schedule_env) == (("0 0 * * *",), {})


def test_no_plugins_name_takes_the_id_of_a_repeated_task(write_project):
    plugins = "environments: [{name: dev}]\nplugins: {utilities: [{name: d}, {name: d.2}]}\n"
    root = write_project("jobs: [{name: j, tasks: [d, d.2, d]}]\n", plugins=plugins)
    (dag,), _ = plan(root, environment="dev")
    assert [task.task_id for task in dag.tasks] == ["d", "d.2", "d.3"]


def test_two_jobs_that_share_a_state_run_with_a_warning(write_project):
    root = write_project(
        """
        jobs:
        - {name: a, tasks: [tap-a target-x, tap-b target-x]}
        - {name: b, tasks: [tap-a hide target-x]}
        - {name: c, tasks: [dbt]}
        """
    )
    plans, (problem,) = plan(root)
    assert [each.job for each in plans] == ["a", "b", "c"]
    assert (problem.code, problem.location.line) == (Code.SHARED_STATE, 4)
    assert problem.severity is Severity.WARNING


def test_task_ids_come_from_the_command_and_stay_unique(write_project):
    (dag,), _ = plan_tasks(write_project, "[tap-a target-x, dbt:run, tap-a target-x]")
    assert [task.task_id for task in dag.tasks] == [
        "tap-a-to-target-x",
        "dbt-run",
        "tap-a-to-target-x.2",
    ]


def test_inserting_a_task_renames_no_other(write_project):
    before = plan_tasks(write_project, "[tap-a target-x, dbt:run]")[0][0].tasks
    after = plan_tasks(write_project, "[dbt:seed, tap-a target-x, dbt:run]")[0][0].tasks
    assert {task.task_id for task in before} <= {task.task_id for task in after}


def test_several_schedules_of_one_job_are_one_dag(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: a, job: j, interval: '@daily'}
        - {name: b, job: j, interval: '@hourly'}
        - {name: c, job: j, interval: '@once'}
        """
    )
    (dag,), _ = plan(root)
    assert dag.crons == ("0 0 * * *", "0 * * * *")


def test_schedules_of_one_job_with_different_env_are_a_problem(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: a, job: j, interval: '@daily'}
        - {name: b, job: j, interval: '@hourly', env: {A: 'b'}}
        """
    )
    plans, (problem,) = plan(root)
    assert not plans
    assert (problem.code, problem.location.line) == (Code.CONFLICTING_SCHEDULES, 5)


def test_a_job_without_schedule_is_a_dag_that_is_started_by_hand(write_project):
    (dag,), _ = plan_tasks(write_project, "[dbt]")
    assert dag.crons == ()


def test_the_environment_comes_from_the_settings_or_the_project(write_project):
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert plan(root)[0][0].environment == "dev"
    assert plan(root, environment="prod")[0][0].environment == "prod"
    plans, (problem,) = plan(root, environment="test")
    assert not plans
    assert problem.code is Code.UNKNOWN_ENVIRONMENT


def test_a_plan_depends_on_its_own_job_only(write_project):
    alone = plan(write_project("jobs: [{name: j, tasks: [dbt]}]\n"))[0]
    more = plan(write_project("\n\njobs: [{name: i, tasks: [dbt]}, {name: j, tasks: [dbt]}]\n"))[0]
    assert more[1] == alone[0]


def test_names_that_airflow_refuses_get_a_legal_and_unique_id():
    names = [
        "a",
        "a b",
        legal_id("a b"),
        "a/b",
        "données été/1",
        "x:y",
        "",
        "..",
        "a" * 300,
        "a" * 301,
    ]
    ids = [legal_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert ids[0] == "a"
    assert all(len(each) <= 250 and each.isascii() for each in ids)


def test_a_plan_is_frozen(write_project):
    (dag,), _ = plan_tasks(write_project, "[dbt]")
    assert replace(dag, dag_id="x").dag_id == "x"
    with pytest.raises(AttributeError):
        dag.dag_id = "x"
