import json
import re

import pytest
import yaml

from dag_factory.planning.planned_project import read_and_plan
from dag_factory.planning.secret_names import kubernetes_name
from dag_factory.secrets.values import secret_variables
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.support.running import CHECKOUT

PLUGINS = """
plugins:
  extractors:
  - {name: tap-a, namespace: a, settings: [{name: url}, {name: token, kind: password}]}
  - {name: tap-b, inherit_from: tap-a}
  - {name: tap-c, inherit_from: tap-b}
  - {name: tap-open, namespace: o, settings: [{name: url}]}
  - {name: tap-locked, variant: v}
  - {name: tap-é/1, namespace: e, settings: [{name: token, sensitive: true}]}
  loaders:
  - {name: target-x, namespace: x, settings: [{name: password, kind: password}]}
  - {name: target-open, namespace: y}
  mappers:
  - {name: m, namespace: m, settings: [{name: k, sensitive: true}], mappings: [{name: hide}]}
  utilities:
  - {name: dbt, namespace: dbt, commands: {run: run}, settings: [{name: k, sensitive: true}]}
environments: [{name: dev}, {name: 'pré prod'}]
default_environment: dev
"""
LOCK = {"name": "tap-locked", "namespace": "l", "settings": [{"name": "k", "kind": "oauth"}]}


def names(write_project, task, option="", environment="dev", prefix="acme/data"):
    """Return the names of a task's secrets, and whether their keys are settings."""
    annotations = f", annotations: {{airflow: {{secrets: {option}}}}}" if option else ""
    root = write_project(f"jobs: [{{name: j, tasks: ['{task}']{annotations}}}]\n", plugins=PLUGINS)
    lock = root / "plugins/extractors/tap-locked--v.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps(LOCK))
    ((plan,), problems) = plans_and_problems(Settings(root, environment, secrets_prefix=prefix))
    assert problems == ()
    return [(list(each.names), each.of_plugin) for each in plan.tasks[0].secrets]


def plugin(*of):
    return [f"acme/data/dev/meltano/{each}" for each in of], True


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("tap-a target-x", [plugin("tap-a"), plugin("target-x")]),
        ("tap-open target-open", []),
        ("tap-a hide target-open", [plugin("tap-a"), plugin("m")]),
        ("dbt:run", [plugin("dbt")]),
        ("tap-locked target-open", [plugin("tap-locked")]),
        ("tap-c target-open", [plugin("tap-c", "tap-b", "tap-a")]),
        ("tap-a target-x tap-a target-x", [plugin("tap-a"), plugin("target-x")]),
    ],
)
def test_each_plugin_with_a_sensitive_setting_has_one_and_may_inherit_another(
    write_project, task, expected
):
    assert names(write_project, task) == expected


def test_without_a_prefix_there_are_none(write_project):
    assert names(write_project, "tap-a target-x", "[tap-a, shared]", prefix=None) == []


def test_the_option_adds_plugins_and_secrets_of_variables(write_project):
    found = names(write_project, "tap-a target-open", "[target-open, shared/proxy, tap-a]")
    proxy = ["acme/data/dev/meltano/shared/proxy"]
    assert found == [plugin("tap-a"), plugin("target-open"), (proxy, False)]


def test_what_aws_takes_in_no_name_is_what_it_is_in_meltanos_variables(write_project):
    found = names(write_project, "tap-é/1 target-open", environment="pré prod", prefix="acme")
    assert found == [(["acme/pr__prod/meltano/tap-__1"], True)]


def test_the_dag_of_the_state_has_those_of_the_top_level_and_the_environment(write_project):
    annotations = "annotations: {airflow: {secrets: [database, dbt]}}\n"
    root = write_project(f"{annotations}jobs: [{{name: j, tasks: ['dbt:run']}}]\n", plugins=PLUGINS)
    state = read_and_plan(Settings(root, secrets_prefix="acme")).state_plan
    assert [each.names for each in state.tasks[0].secrets] == [
        ("acme/dev/meltano/dbt",),
        ("acme/dev/meltano/database",),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme/prod/meltano/tap-x", "acme-prod-meltano-tap-x"),
        ("Acme/prod/meltano/tap_x.y@z", "acme-prod-meltano-tap-x-y-z"),
        ("acme/prod/meltano/tap-_", "acme-prod-meltano-tap"),
    ],
)
def test_a_secret_of_kubernetes_has_a_name_that_kubernetes_takes(name, expected):
    assert kubernetes_name(name) == expected


def test_the_external_secret_of_the_guide_has_the_names_that_pods_and_meltano_look_for():
    guide = (CHECKOUT / "docs/secrets.md").read_text()
    [text] = re.findall(r"```yaml\n(apiVersion: external-secrets.*?)```", guide, re.DOTALL)
    example = yaml.safe_load(text)
    data = example["spec"]["data"]
    [name] = {each["remoteRef"]["key"] for each in data}
    values = json.dumps({each["remoteRef"]["property"]: "x" for each in data})
    assert example["metadata"]["name"] == kubernetes_name(name)
    assert [each["secretKey"] for each in data] == [*secret_variables(name, values, of_plugin=True)]
