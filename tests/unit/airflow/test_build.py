import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

import dag_factory
from dag_factory import build_airflow_dags, raise_project_problems
from dag_factory.airflow.alert_mail import AlertedJob
from dag_factory.airflow.build import build_dag, build_dags
from dag_factory.errors import Code, Location, ProjectError
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.planning.plan import TaskKind
from dag_factory.settings import Settings
from tests.support.plans import PLAN, plans_and_problems, schedules


@pytest.mark.parametrize(
    ("kind", "command"), [(TaskKind.RUN, "run load"), (TaskKind.ELT, "schedule run load")]
)
def test_a_dag_tells_the_command_that_does_the_same(tmp_path, kind, command):
    plan = replace(PLAN, tasks=(replace(PLAN.tasks[0], kind=kind),))
    assert f"`meltano --environment=dev {command}`" in build_dag(plan, tmp_path).doc_md


def test_tasks_are_in_the_order_of_the_job(tmp_path):
    dag = build_dag(PLAN, tmp_path)
    assert dag.get_task("dbt.run").upstream_task_ids == {"tap-a-to-target-x"}
    assert dag.get_task("dbt.run").doc_md == "`meltano run --no-install dbt:run`"


def test_the_options_of_a_job_reach_airflow(tmp_path):
    options = DagOptions(
        owner="data",
        tags=("b", "a"),
        description="why",
        doc_md="# Read me",
        owner_links={"data": "https://example.com/data"},
        start_date=datetime(2026, 1, 31, 6),  # noqa: DTZ001 - as it is written in YAML
        timezone="Europe/Prague",
        catchup=True,
        paused=True,
        dag={"dagrun_timeout": "2h", "end_date": "2027-01-01", "fail_fast": True},
    )
    dag = build_dag(replace(PLAN, options=options), tmp_path)
    assert (dag.description, dag.catchup, dag.is_paused_upon_creation) == ("why", True, True)
    assert dag.tags == {"meltano", "dev", "a", "b"}
    assert dag.doc_md.startswith("# Read me\n\n")
    assert dag.owner_links == {"data": "https://example.com/data"}
    assert dag.start_date == datetime(2026, 1, 31, 5, tzinfo=UTC)
    assert (dag.dagrun_timeout, dag.fail_fast) == (timedelta(hours=2), True)
    assert dag.end_date == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert {task.owner for task in dag.tasks} == {"data"}


def test_the_options_of_a_task_reach_airflow(tmp_path):
    options = TaskOptions(
        retries=5,
        retry_delay=timedelta(minutes=9),
        retry_exponential_backoff=1.5,
        max_retry_delay=timedelta(hours=3),
        execution_timeout=timedelta(hours=1),
        pool="crm",
        pool_slots=2,
        priority_weight=7,
        weight_rule="absolute",
        queue="big",
        operator={"trigger_rule": "all_done", "depends_on_past": True},
    )
    first, second = PLAN.tasks
    plan = replace(PLAN, tasks=(first, replace(second, options=options)))
    task = build_dag(plan, tmp_path).get_task("dbt.run")
    assert (task.retries, task.retry_delay) == (5, timedelta(minutes=9))
    assert (task.retry_exponential_backoff, task.max_retry_delay) == (1.5, timedelta(hours=3))
    assert task.execution_timeout == timedelta(hours=1)
    assert (task.pool, task.pool_slots, task.priority_weight) == ("crm", 2, 7)
    assert (str(task.weight_rule), task.queue) == ("absolute", "big")
    assert (task.trigger_rule, task.depends_on_past) == ("all_done", True)


def test_an_alert_knows_the_job_its_environment_and_its_schedules(tmp_path):
    who = DagOptions(email=("a@example.com",), deadline=timedelta(hours=2))
    plan = replace(PLAN, schedules=schedules("0 1 * * *", "0 9 * * 1"), options=who)
    dag = build_dag(plan, tmp_path)
    about = AlertedJob("load", "dev", "s0: 0 1 * * * UTC; s1: 0 9 * * 1 UTC")
    for task in dag.tasks:
        assert [each.about for each in task.on_failure_callback] == [about]
        assert task.on_retry_callback == []
    (deadline,) = dag.deadline
    assert deadline.callback.kwargs["schedule"] == about.schedule


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"dagrun_timout": "2h"}, "no argument 'dagrun_timout'", "'dagrun_timeout'"),
        ({"schedule": "@daily"}, "schedule is set by the DAG factory", "remove it"),
        ({"deadline": "2h"}, "deadline is set by the DAG factory", "remove it"),
        ({"dagrun_timeout": "2"}, "dagrun_timeout must be a duration", "write 2s, 2m"),
    ],
)
def test_an_invalid_argument_leaves_out_only_its_job(tmp_path, options, message, hint):
    plan = replace(PLAN, options=DagOptions(dag=options))
    dags, (problem,) = build_dags([plan], Settings(tmp_path))
    assert (dags, problem.code) == ({}, Code.WRONG_ARGUMENT)
    assert message in problem.message
    assert hint in problem.hint
    # The project does not exist any more, so the place is from the plan.
    assert problem.location == Location(tmp_path / "meltano.yml", 1)


@pytest.mark.parametrize("name", ["task_id", "retries", "kwargs", "argv"])
def test_a_reserved_or_unknown_argument_of_an_operator_is_rejected(tmp_path, name):
    tasks = (replace(PLAN.tasks[0], options=TaskOptions(operator={name: 1})),)
    _, (problem,) = build_dags([replace(PLAN, tasks=tasks)], Settings(tmp_path))
    assert problem.code is Code.WRONG_ARGUMENT


PLACES = """
annotations: {airflow: {LEVEL0}}
plugins:
  extractors:
  - {name: tap-a, namespace: a, annotations: {airflow: {LEVEL1}}}
  - {name: tap-b, namespace: b}
  loaders:
  - {name: target-x, namespace: x, annotations: {airflow: {LEVEL2}}}
environments:
- name: dev
  annotations:
    airflow:
      LEVEL3
      jobs:
        j: {LEVEL4}
default_environment: dev
include_paths: [more.yml]
"""
JOB = """
jobs:
- name: j
  tasks: [tap-b target-x, tap-a target-x]
  annotations:
    airflow:
      LEVEL5
      tasks:
        tap-a-to-target-x: {LEVEL6}
"""


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ({0: "dag: {no: 1}"}, "meltano.yml:2"),
        ({0: "dag: {no: 1}", 4: "dag: {fail_fast: true}"}, "meltano.yml:2"),
        ({0: "dag: {dagrun_timeout: 2}", 3: "dag: {fail_fast: true, no: 1}"}, "meltano.yml:13"),
        ({0: "dag: {end_date: '2027'}", 4: "dag: {end_date: x}"}, "meltano.yml:15"),
        ({0: "dag: {end_date: x}", 5: "dag: {end_date: y}"}, "more.yml:7"),
        ({4: "params: {X: {type: string, enum: [a], default: b}}"}, "meltano.yml:15"),
        ({5: "params: {X: {type: string, enum: [a], default: b}}"}, "more.yml:7"),
        ({1: "operator: {no: 1}"}, "meltano.yml:5"),
        ({2: "operator: {end_date: '2027-01-01'}", 1: "operator: {end_date: x}"}, "meltano.yml:5"),
        ({2: "operator: {end_date: x}", 1: "operator: {end_date: '2027-01-01'}"}, "meltano.yml:8"),
        ({6: "operator: {no: 1}"}, "more.yml:9"),
    ],
)
def test_an_invalid_argument_is_reported_at_its_place(tmp_path, written, place):
    for name, text in (("meltano.yml", PLACES), ("more.yml", JOB)):
        filled = re.sub(r"LEVEL(\d)", lambda level: written.get(int(level[1]), "retries: 1"), text)
        (tmp_path / name).write_text(filled)
    settings = Settings(tmp_path)
    plans, _ = plans_and_problems(settings)
    dags, (problem,) = build_dags(plans, settings)
    assert (dags, problem.code) == ({}, Code.WRONG_ARGUMENT)
    assert problem.location.text(tmp_path) == place


def test_the_project_is_read_again_only_for_an_invalid_argument(monkeypatch, tmp_path):
    monkeypatch.setattr("dag_factory.airflow.build.read_and_plan", pytest.fail)
    bad = replace(PLAN, dag_id="no id")
    assert len(build_dags([PLAN, bad], Settings(tmp_path))[1]) == 1


def test_runs_of_one_job_never_overlap(tmp_path):
    dag = build_dag(PLAN, tmp_path)
    assert dag.max_active_runs == 1
    assert {task.max_active_tis_per_dag for task in dag.tasks} == {1}


def test_a_dag_built_twice_has_the_same_bytes(tmp_path):
    plan = replace(PLAN, schedules=schedules("0 1 * * *"), options=DagOptions(tags=tuple("zyx")))
    first, second = (
        json.dumps(DagSerialization.to_dict(build_dag(plan, tmp_path))) for _ in range(2)
    )
    assert first == second


RICH = """
import json, sys
from pathlib import Path
from dag_factory.airflow.build import build_dags
from tests.support.plans import plans_and_problems
from dag_factory.settings import Settings
from airflow.serialization.serialized_objects import DagSerialization

settings = Settings(Path(sys.argv[1]))
dags, problems = build_dags(plans_and_problems(settings)[0], settings)
assert not problems, problems
print(json.dumps({name: DagSerialization.to_dict(dag) for name, dag in dags.items()}))
"""
JOBS = """
- name: rich
  tasks: [tap-a target-x, tap-b target-x, dbt:run]
  annotations:
    airflow:
      tags: [z, y, x]
      order: parallel
      deadline: 2h
      email: [b@example.com, a@example.com]
      notify: [{class: a.b.C, kwargs: {z: 1, a: [2]}}]
      params: {REGION: {type: string, enum: [us, eu]}}
      start_date: 2026-01-31
      after: {any: [first, second]}
      dag: {dagrun_timeout: 2h}
- {name: first, tasks: [dbt:test]}
- {name: second, tasks: [dbt:seed]}
"""


def test_a_dag_has_the_same_bytes_in_every_process_and_besides_any_other_job(write_project):
    schedules = "schedules: [{name: s, job: rich, interval: '@daily', env: {A: b}}]\n"
    built = []
    for seed, before in (("1", ""), ("2", ""), ("3", "# a line\n- {name: new, tasks: [dbt]}\n")):
        root = write_project(f"jobs:\n{before}{JOBS}{schedules}")
        done = subprocess.run(
            [sys.executable, "-c", RICH, str(root)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        dags = json.loads(done.stdout.splitlines()[-1])
        # Airflow's digest of a DAG sorts the keys, too.
        names = ("rich", "first", "second")
        built.append([json.dumps(dags[name], sort_keys=True) for name in names])
    assert built[0] == built[1] == built[2]


def test_a_dag_that_airflow_rejects_is_left_out_and_named(tmp_path):
    bad = replace(PLAN, dag_id="no id", job="bad")
    dags, (problem,) = build_dags([bad, PLAN], Settings(tmp_path))
    assert list(dags) == ["load"]
    assert problem.code is Code.DAG_NOT_BUILT
    assert "'bad'" in problem.message


def test_a_state_dag_that_airflow_rejects_does_not_affect_the_others(tmp_path):
    task = replace(PLAN.tasks[0], options=TaskOptions(operator={"executor": "NoSuch"}))
    state = replace(PLAN, dag_id="state", job="state", tasks=(task,))
    dags, (problem,) = build_dags([PLAN], Settings(tmp_path), state)
    assert list(dags) == ["load"]
    assert problem.code is Code.DAG_NOT_BUILT
    assert "'state'" in problem.message


def test_without_an_image_for_pods_there_is_no_state_dag(write_project):
    annotations = "annotations: {airflow: {runner: kubernetes}}\n"
    root = write_project(f"{annotations}jobs: [{{name: a, tasks: [dbt]}}]\n")
    assert build_airflow_dags(root) == {}
    with pytest.raises(ProjectError, match="MDF032 the pods of 'dev' have no image"):
        raise_project_problems(root)


def test_a_value_that_only_serialisation_rejects_is_caught_too(tmp_path):
    bad = replace(PLAN, options=DagOptions(tags=("x" * 101,)))
    dags, (problem,) = build_dags([bad], Settings(tmp_path))
    assert not dags
    assert problem.code is Code.DAG_NOT_BUILT


def test_a_worker_builds_only_the_dag_that_it_needs(tmp_path, monkeypatch):
    class Context:
        dag_id = "other"

    monkeypatch.setattr("dag_factory.airflow.build.get_parsing_context", Context)
    dags, _ = build_dags([PLAN, replace(PLAN, dag_id="other")], Settings(tmp_path))
    assert list(dags) == ["other"]


@pytest.fixture
def project(write_project, monkeypatch):
    monkeypatch.delenv("MELTANO_ENVIRONMENT", raising=False)
    root = write_project(
        """
        jobs:
        - {name: good, tasks: [dbt]}
        - {name: bad, tasks: [dbtt]}
        """
    )
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(root))


@pytest.mark.usefixtures("project")
def test_good_jobs_become_dags_and_bad_ones_are_raised_separately():
    dags = build_airflow_dags()
    assert list(dags) == ["good", "meltano_state"]
    assert isinstance(dags["good"], DAG)
    with pytest.raises(ProjectError, match=r"meltano.yml:4: MDF013 job 'bad'"):
        raise_project_problems()


def test_a_dag_links_to_its_file(write_project, monkeypatch):
    url = "https://git.example.com/data/blob/main/meltano/"
    monkeypatch.setenv("DAG_FACTORY_REPOSITORY_URL", url)
    root = write_project("include_paths: ['*.yml']\n", more="jobs: [{name: j, tasks: [dbt]}]\n")
    assert f"[more.yml]({url}more.yml)" in build_airflow_dags(root)["j"].doc_md


@pytest.mark.parametrize(
    "options",
    [
        DagOptions(description="a\0b"),
        DagOptions(params={"X": {"type": "string", "title": "a\0b"}}),
    ],
)
def test_a_nul_that_would_keep_all_dags_from_being_stored_is_rejected(tmp_path, options):
    dags, (problem,) = build_dags([replace(PLAN, options=options)], Settings(tmp_path))
    assert (dags, problem.code) == ({}, Code.DAG_NOT_BUILT)


@pytest.mark.parametrize("name", ["on_failure_callback", "pre_execute", "executor_config"])
def test_an_argument_that_takes_python_objects_is_rejected(tmp_path, name):
    tasks = (replace(PLAN.tasks[0], options=TaskOptions(operator={name: "my.function"})),)
    _, (problem,) = build_dags([replace(PLAN, tasks=tasks)], Settings(tmp_path))
    assert problem.code is Code.WRONG_ARGUMENT
    assert "cannot be set in YAML" in problem.message


def test_an_unknown_executor_leaves_out_only_its_job(tmp_path):
    tasks = (replace(PLAN.tasks[0], options=TaskOptions(operator={"executor": "NoSuch"})),)
    dags, (problem,) = build_dags([replace(PLAN, tasks=tasks)], Settings(tmp_path))
    assert (dags, problem.code) == ({}, Code.DAG_NOT_BUILT)


def test_many_tasks_are_grouped_under_names_that_no_task_has(tmp_path):
    pair, command = PLAN.tasks
    names = ("commands_1", "a", "b", "c", "d", "e")
    tasks = (*(replace(command, task_id=name, upstream=()) for name in names), pair)
    dag = build_dag(replace(PLAN, tasks=tasks), tmp_path)
    assert set(dag.task_group.children) == {"commands_2", "load_1", "done"}
    assert set(dag.task_dict) == {*names, pair.task_id, "done"}


def test_the_done_task_of_a_parallel_job_has_its_owner_and_queue(tmp_path):
    options = TaskOptions(queue="q", pool="p")
    tasks = tuple(replace(each, upstream=(), options=options) for each in PLAN.tasks)
    dag = build_dag(replace(PLAN, tasks=tasks, options=DagOptions(owner="me")), tmp_path)
    done = dag.get_task("done")
    assert (done.owner, done.queue, done.pool, done.retries) == ("me", "q", "p", 2)
    assert [asset.name for asset in done.outlets] == ["load"]


def test_a_prefix_that_is_not_a_legal_id_works(write_project):
    root = write_project("jobs: [{name: a, tasks: [dbt]}]\n")
    assert len(build_airflow_dags(root, dag_id_prefix="finance/")) == 2


def test_one_airflow_can_serve_several_environments(write_project):
    root = write_project(
        """
        jobs:
        - {name: a, tasks: [tap-a target-x]}
        - {name: b, tasks: [dbt], annotations: {airflow: {after: a}}}
        """
    )
    found = {}
    for name in ("dev", "prod"):
        found |= build_airflow_dags(root, environment=name, dag_id_prefix=f"{name}_")
    assert list(found) == [
        *("dev_a", "dev_b", "dev_meltano_state"),
        *("prod_a", "prod_b", "prod_meltano_state"),
    ]
    assert found["prod_a"].dag_display_name == "prod_a"
    (task,) = found["prod_a"].tasks
    assert [asset.name for asset in task.outlets] == [
        "prod_prod:tap-a-to-target-x",
        "prod_a",
    ]
    assert "prod_a" in str(found["prod_b"].schedule)


def test_the_ids_of_meltanos_own_generator_can_be_kept(write_project):
    root = write_project(
        """
        jobs: [{name: a, tasks: [dbt]}, {name: b, tasks: [dbt:run]}]
        schedules:
        - {name: rare, job: a, interval: '@manual'}
        - {name: nightly, job: a, interval: '@daily'}
        - {name: hourly, job: a, interval: '@hourly'}
        """
    )
    dags = build_airflow_dags(root, dag_id_template="meltano_{schedule}_{job}")
    assert list(dags) == ["meltano_nightly_a", "meltano_b_b", "meltano_state"]


def test_a_template_that_gives_two_jobs_one_id_leaves_out_the_second(write_project):
    root = write_project("jobs: [{name: a, tasks: [dbt]}, {name: b, tasks: [dbt:run]}]\n")
    template = {"dag_id_template": "all of {environment}"}
    dags = build_airflow_dags(root, **template)
    assert [dag.dag_display_name for dag in dags.values()] == ["a", "meltano_state"]
    with pytest.raises(ProjectError, match=r"MDF024 job 'b' has the DAG ID of job 'a': "):
        raise_project_problems(root, **template)


def test_a_job_cannot_have_the_id_of_the_state_dag(write_project):
    root = write_project("jobs: [{name: meltano_state, tasks: [dbt]}, {name: a, tasks: [dbt]}]\n")
    assert list(build_airflow_dags(root)) == ["a", "meltano_state"]
    with pytest.raises(ProjectError, match=r"MDF024 .* of the DAG for Meltano's state: .*; rename"):
        raise_project_problems(root)


def test_a_project_without_problems_raises_nothing(write_project):
    raise_project_problems(write_project("jobs: [{name: good, tasks: [dbt]}]\n"))


def test_an_unreadable_project_is_raised_with_its_line(write_project):
    root = write_project("jobs: @x\n")
    assert build_airflow_dags(root) == {}
    with pytest.raises(ProjectError, match=r"meltano.yml:1:7: MDF001"):
        raise_project_problems(root)


def test_the_public_names_are_documented():
    assert all(getattr(dag_factory, name).__doc__ for name in dag_factory.__all__)
