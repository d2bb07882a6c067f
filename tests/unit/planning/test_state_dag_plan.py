import pytest

from dag_factory.options.catalog import TaskOptions
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.settings import Settings

OPTIONS = """
jobs:
- {name: j, tasks: [dbt], annotations: {airflow: {runner: local, queue: of-the-job}}}
annotations:
  airflow:
    runner: kubernetes
    image: meltano:1.0
    queue: small
    retries: 9
    pool: loads
    execution_timeout: 1h
    owner: me
    email: me@example.com
    resources: {requests: {cpu: "1"}}
    operator: {namespace: data, executor: LocalExecutor, depends_on_past: true}
"""
PLUGINS = """
plugins:
  utilities:
  - {name: dbt, namespace: dbt, annotations: {airflow: {service_account: of-the-plugin}}}
environments:
- {name: dev, annotations: {airflow: {runner: local, jobs: {j: {queue: of-the-job}}}}}
- name: prod
  annotations: {airflow: {service_account: loads, node_selector: {pool: loads}, deferrable: true}}
default_environment: dev
"""


def plan_of(root, environment="prod", **settings):
    return read_and_plan(Settings(root, environment, **settings)).state_plan


def test_its_task_runs_where_the_top_level_and_the_environment_say(write_project):
    plan = plan_of(write_project(OPTIONS, plugins=PLUGINS))
    (task,) = plan.tasks
    assert (task.task_id, task.argv, plan.environment) == ("state", ("meltano-state",), "prod")
    assert task.options == TaskOptions(
        retries=0,
        queue="small",
        runner="kubernetes",
        deferrable=True,
        image="meltano:1.0",
        resources={"requests": {"cpu": "1"}},
        service_account="loads",
        node_selector={"pool": "loads"},
        operator={"namespace": "data", "executor": "LocalExecutor"},
    )
    assert (
        plan_of(write_project(OPTIONS, plugins=PLUGINS), "dev").tasks[0].options.runner == "local"
    )


def test_the_image_of_the_deployment_goes_first(write_project):
    plan = plan_of(write_project(OPTIONS, plugins=PLUGINS), image="meltano:2.0")
    assert plan.tasks[0].options.image == "meltano:2.0"


@pytest.mark.parametrize("image", [None, "meltano", "meltano:latest"])
def test_without_a_pinned_image_there_are_no_pods_of_it(write_project, image):
    root = write_project(OPTIONS.replace("image: meltano:1.0", ""), plugins=PLUGINS)
    assert plan_of(root, image=image) is None
    assert plan_of(root, "dev", image=image) is not None


def test_neither_a_job_nor_its_place_in_the_project_changes_it(write_project):
    before = plan_of(write_project(plugins=PLUGINS))
    after = plan_of(write_project("\n\njobs: [{name: j, tasks: [dbt]}]\n", plugins=PLUGINS))
    assert before == after
    assert before.line == after.line


def test_its_id_has_the_prefix_and_is_legal(write_project):
    root = write_project()
    assert plan_of(root, dag_id_prefix="prod_").dag_id == "prod_meltano_state"
    slugged = plan_of(root, dag_id_prefix="finance/")
    assert slugged.dag_id.startswith("finance_meltano_state.")
    assert slugged.name == "finance/meltano_state"


@pytest.mark.parametrize("text", ["jobs: @x\n", "environments: 5\n"])
def test_of_a_project_without_the_environment_there_is_none(write_project, text):
    assert plan_of(write_project(text, plugins="")) is None
    assert plan_of(write_project(), "other") is None
