"""Keys of pods that Kubernetes does not know; bad_projects/MDF046-* show what is said of them."""

import json

import pytest

from dag_factory.cli.check_pod_keys import pod_problems
from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings
from tests.support.small_project import PLUGINS

PROJECT = """
annotations:
  airflow:
    pod_override:
      spec: {priorityClass: low}
jobs:
- name: j
  tasks: [tap-a target-x, dbt]
  annotations:
    airflow:
      tasks:
        dbt:
          pod_override:
            metadata: {annotation: {a: b}}
- name: k
  tasks: [tap-b target-x]
"""
RIGHT = {
    "metadata": {"labels": {"any thing": "goes"}, "annotations": {"enn": "x"}},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "ndots", "value": "1"}]},
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "zone", "labelSelector": {"matchLabels": {"env": "x"}}}
                ]
            }
        },
        "volumes": [
            {"name": "a", "projected": {"sources": [{"secret": {"name": "s"}}]}},
            {"name": "b", "csi": {"driver": "d", "volumeAttributes": {"any": "thing"}}},
        ],
        "initContainers": [
            {
                "name": "init",
                "image": "init:1",
                "resources": {"limits": {"nvidia.com/gpu": 1}},
                "restartPolicy": "Always",
            }
        ],
        "containers": [
            {
                "name": "base",
                "command": ["meltano-task"],
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "envFrom": [{"secretRef": {"name": "s"}, "prefix": "X_"}],
                "resources": {"claims": [{"name": "gpu"}]},
                "volumeMounts": [{"name": "a", "mountPath": "/a", "readOnly": True}],
                "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
            }
        ],
    },
}


def said(root):
    return [*pod_problems(check_project(Settings(root)))]


def of_override(write_project, override):
    text = f"annotations: {{airflow: {{pod_override: {json.dumps(override)}}}}}\n"
    return said(write_project(f"{text}jobs: [{{name: j, tasks: [dbt]}}]\n"))


def test_each_unknown_key_is_said_where_it_stands_for_each_task_that_has_it(write_project):
    found = said(write_project(PROJECT, plugins=PLUGINS))
    assert [(each.location.line, each.message.rpartition(" ")[2]) for each in found] == [
        (5, "spec.priorityClass"),
        (5, "spec.priorityClass"),
        (14, "metadata.annotation"),
        (5, "spec.priorityClass"),
    ]
    assert {each.hint for each in found} == {
        "did you mean 'priorityClassName'?",
        "did you mean 'annotations'?",
    }


def test_a_pod_that_kubernetes_takes_is_right(write_project):
    assert of_override(write_project, RIGHT) == []


@pytest.mark.parametrize(
    ("path", "key", "near"),
    [
        (("spec",), "nodeSelectors", "nodeSelector"),
        (("spec", "tolerations", 0), "effekt", "effect"),
        (("spec", "containers", 0), "imagePullPolice", "imagePullPolicy"),
        (("spec", "containers", 0, "env", 0, "valueFrom"), "secretRef", "secretKeyRef"),
        (("spec", "containers", 0, "lifecycle", "preStop", "exec"), "comand", "command"),
        (("spec", "initContainers", 0), "volume_mounts", "volumeMounts"),
    ],
)
def test_an_unknown_key_is_found_at_any_depth(write_project, path, key, near):
    override = json.loads(json.dumps(RIGHT))
    part = override
    for step in path:
        part = part[step]
    part[key] = None
    [problem] = of_override(write_project, override)
    assert problem.message.endswith(f".{key}")
    assert problem.hint == f"did you mean {near!r}?"


def test_a_key_unlike_any_is_to_be_removed(write_project):
    [problem] = of_override(write_project, {"spec": {"x": 5}})
    assert problem.hint == "remove it, or correct where it stands"


def test_where_the_kind_is_wrong_nothing_is_guessed(write_project):
    assert of_override(write_project, {"spec": {"affinity": "none", "tolerations": {"a": 1}}}) == []


def test_a_real_kubernetes_passes_over_what_is_said_to_be_unknown(cluster):
    containers = [{"name": "base", "image": "meltano:1", "volumeMount": []}]
    spec = {"containers": containers, "priorityClass": "low"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "odd"}, "spec": spec}
    with cluster.new_namespace() as namespace:
        words = ("create", "-f-", "--validate=false", "--dry-run=server", "--output=json")
        taken = json.loads(cluster.kubectl("-n", namespace, *words, stdin=pod))
    assert "priorityClass" not in taken["spec"]
    assert "volumeMount" not in taken["spec"]["containers"][0]
