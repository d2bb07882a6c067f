import json
from dataclasses import replace
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from plans import PLAN, schedules

import dag_factory
from dag_factory import build_airflow_dags, raise_project_problems
from dag_factory.build import build_dag, build_dags
from dag_factory.errors import Code, ProjectError
from dag_factory.options import Options


def test_the_tasks_stand_in_the_order_of_the_job(tmp_path):
    dag = build_dag(PLAN, tmp_path)
    assert dag.get_task("dbt.run").upstream_task_ids == {"tap-a-to-target-x"}
    assert dag.get_task("dbt.run").argv == ["meltano", "run", "--no-install", "dbt:run"]


def test_the_options_reach_airflow(tmp_path):
    options = Options(
        owner="data",
        tags=("b", "a"),
        description="why",
        retries=5,
        retry_delay=timedelta(minutes=9),
        execution_timeout=timedelta(hours=1),
        paused=True,
    )
    dag = build_dag(replace(PLAN, options=options), tmp_path)
    task = dag.get_task("dbt.run")
    assert (dag.description, dag.is_paused_upon_creation) == ("why", True)
    assert dag.tags == {"meltano", "a", "b"}
    assert (task.owner, task.retries) == ("data", 5)
    assert (task.retry_delay, task.execution_timeout) == (
        timedelta(minutes=9),
        timedelta(hours=1),
    )


def test_runs_of_one_job_never_overlap(tmp_path):
    dag = build_dag(PLAN, tmp_path)
    assert dag.max_active_runs == 1
    assert {task.max_active_tis_per_dag for task in dag.tasks} == {1}


def test_a_dag_built_twice_is_the_same_to_the_byte(tmp_path):
    plan = replace(PLAN, schedules=schedules("0 1 * * *"), options=Options(tags=tuple("zyx")))
    first, second = (
        json.dumps(DagSerialization.to_dict(build_dag(plan, tmp_path))) for _ in range(2)
    )
    assert first == second


def test_a_dag_that_airflow_refuses_is_left_out_and_named(tmp_path):
    bad = replace(PLAN, dag_id="no id", job="bad")
    dags, (problem,) = build_dags([bad, PLAN], tmp_path)
    assert list(dags) == ["load"]
    assert problem.code is Code.DAG_NOT_BUILT
    assert "'bad'" in problem.message


def test_a_value_that_only_serialisation_refuses_is_caught_too(tmp_path):
    bad = replace(PLAN, options=Options(tags=("x" * 101,)))
    dags, (problem,) = build_dags([bad], tmp_path)
    assert not dags
    assert problem.code is Code.DAG_NOT_BUILT


def test_a_worker_builds_the_one_dag_that_it_needs(tmp_path, monkeypatch):
    class Context:
        dag_id = "other"

    monkeypatch.setattr("dag_factory.build.get_parsing_context", Context)
    dags, _ = build_dags([PLAN, replace(PLAN, dag_id="other")], tmp_path)
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
def test_good_jobs_become_dags_and_bad_ones_are_raised_elsewhere():
    dags = build_airflow_dags()
    assert list(dags) == ["good"]
    assert isinstance(dags["good"], DAG)
    with pytest.raises(ProjectError, match=r"meltano.yml:4: MDF013 job 'bad'"):
        raise_project_problems()


def test_a_project_without_problems_raises_nothing(write_project):
    raise_project_problems(write_project("jobs: [{name: good, tasks: [dbt]}]\n"))


def test_an_unreadable_project_is_raised_with_its_line(write_project):
    root = write_project("jobs: @x\n")
    assert build_airflow_dags(root) == {}
    with pytest.raises(ProjectError, match=r"meltano.yml:1:7: MDF001"):
        raise_project_problems(root)


def test_the_public_names_are_documented():
    assert all(getattr(dag_factory, name).__doc__ for name in dag_factory.__all__)
