import pytest

from dag_factory.planner import read_plans
from dag_factory.settings import Settings

PLUGINS = """
plugins:
  extractors:
  - {name: tap-a, namespace: a, settings: [{name: start_date}, {name: end_date}]}
  - {name: tap-b, namespace: b, settings: [{name: since, aliases: [start_date]}]}
  - {name: tap-c, namespace: c}
  loaders:
  - {name: target-x, namespace: x}
  - {name: target-one, namespace: one, annotations: {airflow: {exclusive: true}}}
  utilities: [{name: dbt, namespace: dbt, commands: {run: run, test: test}}]
environments: [{name: dev}]
default_environment: dev
"""


def tasks(write_project, items, order="parallel"):
    root = write_project(
        f"jobs: [{{name: j, tasks: {items}, annotations: {{airflow: {{order: {order}}}}}}}]\n",
        plugins=PLUGINS,
    )
    (dag,), _ = read_plans(Settings(root))
    return dag.tasks


@pytest.mark.parametrize(
    ("items", "upstream"),
    [
        ("[tap-a target-x, tap-b target-x, tap-c target-x]", ["", "", ""]),
        ("[tap-a target-one, tap-b target-one]", ["", "0"]),
        ("[tap-a target-x, tap-b target-one, tap-c target-one]", ["", "", "1"]),
        ("[tap-a target-x, tap-a target-x tap-b target-x]", ["", "0"]),
        ("[tap-a target-x, tap-b target-x, 'dbt:run', 'dbt:test']", ["", "", "01", "2"]),
        ("['dbt:run', tap-a target-x, tap-b target-x, 'dbt:test']", ["", "0", "0", "12"]),
    ],
)
def test_tasks_that_share_nothing_run_side_by_side(write_project, items, upstream):
    found = tasks(write_project, items)
    ids = [task.task_id for task in found]
    assert ["".join(str(ids.index(each)) for each in task.upstream) for task in found] == upstream


def test_by_default_tasks_run_one_after_another(write_project):
    first, second = tasks(write_project, "[tap-a target-x, tap-b target-x]", "sequential")
    assert (first.upstream, second.upstream) == ((), (first.task_id,))


def test_each_extractor_tells_what_a_run_may_set(write_project):
    a, b, c = (task.extractors[0] for task in tasks(
        write_project, "[tap-a target-x, tap-b target-x, tap-c target-x]"
    ))  # fmt: skip
    assert (a.select_filter, a.start, a.end) == (
        "TAP_A__SELECT_FILTER",
        "TAP_A_START_DATE",
        "TAP_A_END_DATE",
    )
    assert (b.start, b.end, c.start) == ("TAP_B_SINCE", None, None)


def test_each_pair_is_an_asset(write_project):
    (task,) = tasks(write_project, "[tap-a target-x tap-b target-one dbt]")
    assert task.assets == ("dev:tap-a-to-target-x", "dev:tap-b-to-target-one")
