import pytest

from dag_factory.errors import Code
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems

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
    (dag,), _ = plans_and_problems(Settings(root))
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


PODS = """
annotations: {airflow: {runner: kubernetes, IMAGE}}
database_uri: $DATABASE
jobs:
- {name: j, tasks: [tap-a target-x]}
- {name: local, tasks: [tap-b target-x], annotations: {airflow: {runner: local, image: 'a:1'}}}
schedules:
- {name: older, extractor: tap-c, loader: target-x, transform: skip, interval: '@daily'}
"""


def images(write_project, option, **settings):
    """Return the image of each job, and what is said."""
    root = write_project(PODS.replace("IMAGE", option), plugins=PLUGINS)
    plans, problems = plans_and_problems(Settings(root, **settings))
    return {plan.job: plan.tasks[0].options.image for plan in plans}, problems


def test_the_image_of_the_variable_goes_before_that_of_the_options_in_pods_alone(write_project):
    found, problems = images(write_project, "image: 'b:2'")
    assert (found, problems) == ({"j": "b:2", "local": "a:1", "older": "b:2"}, ())
    found, problems = images(write_project, "image: 'b:latest'", image="c:3")
    assert (found, problems) == ({"j": "c:3", "local": "a:1", "older": "c:3"}, ())


@pytest.mark.parametrize(
    ("option", "settings", "message"),
    [
        ("", {}, "the pods of 'dev' have no image"),
        ("image: b", {}, "the image 'b' is not pinned: no tag means `latest`"),
        ("image: 'b:latest'", {}, "the image 'b:latest' is not pinned: `latest` moves"),
        ("image: 'b:1'", {"image": "c"}, "the image 'c' of MELTANO_IMAGE is not pinned"),
    ],
)
def test_pods_without_a_version_leave_their_jobs_out_and_are_said_once(
    write_project, option, settings, message
):
    found, [problem] = images(write_project, option, **settings)
    assert found == {"local": "a:1"}
    assert (problem.code, problem.location.line) == (Code.UNPINNED_IMAGE, 2)
    assert problem.message.startswith(message)
    assert "such as registry.example.com/meltano:1.4.2" in problem.hint


def test_the_place_is_that_of_the_image_or_else_of_the_runner(write_project):
    text = """
        annotations:
          airflow:
            runner: kubernetes
            image: b
        database_uri: $DATABASE
        jobs: [{name: j, tasks: [tap-a target-x]}]
    """
    root = write_project(text, plugins=PLUGINS)
    lines = [
        problem.location.line
        for image in (None, "c")
        for problem in plans_and_problems(Settings(root, image=image))[1]
    ]
    assert lines == [5, 4]


def test_digests_are_there_unless_images_are_not_compared(write_project):
    root = write_project("jobs: [{name: j, tasks: [tap-a target-x]}]\n", plugins=PLUGINS)
    digests = [
        plans_and_problems(Settings(root, compares_image=each))[0][0].tasks[0].digest
        for each in (True, False)
    ]
    assert bool(digests[0])
    assert digests[1] == ""
