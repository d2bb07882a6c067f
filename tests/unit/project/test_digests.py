import pytest

from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.support.small_project import PLUGINS

JOB = "jobs: [{name: j, tasks: [tap-a target-x]}]\n"


def digest(write_project, text=JOB, plugins=PLUGINS, environment="dev"):
    plans, _ = plans_and_problems(Settings(write_project(text, plugins=plugins), environment))
    (dag,) = [each for each in plans if each.job == "j"]
    return dag.tasks[0].digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("namespace: a}", "namespace: a, config: {x: 1}}"),
        ("namespace: a}", "namespace: a, select: [x]}"),
        ("namespace: a}", "namespace: a, config: {description: counts}}"),
        ("namespace: x}", "namespace: x, env: {A: b}}"),
        ("{name: dev}", "{name: dev, env: {A: b}}"),
        ("{name: dev}", "{name: dev, state_id_suffix: y}"),
        (
            "{name: dev}",
            "{name: dev, config: {plugins: {loaders: [{name: target-x, config: {y: 1}}]}}}",
        ),
        ("default_env", "env: {A: b}\ndefault_env"),
    ],
)
def test_what_a_task_needs_changes_its_digest(write_project, old, new):
    assert digest(write_project) != digest(write_project, plugins=PLUGINS.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("namespace: a}", "namespace: a, annotations: {another: {}}}"),
        ("namespace: b}", "namespace: b, config: {x: 1}}"),
        ("{name: prod}", "{name: prod, env: {A: b}}"),
        ("default_env", "schedules: [{name: s, job: j, interval: '@daily'}]\ndefault_env"),
    ],
)
def test_what_it_does_not_need_leaves_it_as_it_is(write_project, old, new):
    assert digest(write_project) == digest(write_project, plugins=PLUGINS.replace(old, new))


def test_the_parent_counts_too(write_project):
    text = "jobs: [{name: j, tasks: [tap-c target-x]}]\n"
    plugins = PLUGINS.replace("namespace: b}", "namespace: b}, {name: tap-c, inherit_from: tap-a}")
    changed = plugins.replace("namespace: a}", "namespace: a, config: {x: 1}}")
    assert digest(write_project, text, plugins) != digest(write_project, text, changed)


def test_environments_have_digests_of_their_own(write_project):
    assert digest(write_project) != digest(write_project, environment="prod")
