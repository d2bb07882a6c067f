"""Parts of pods, merged as Kubernetes merges them: a real one is asked where there is one."""

import json
from copy import deepcopy

import pytest

from dag_factory.errors import InvalidValueError
from dag_factory.options.pod_merge import MERGE_KEYS, check_mergeable, item_name, merge_pods

POD = {
    "metadata": {"labels": {"app": "merge", "env": "dev"}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "fsGroup": 1},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["one"]}],
        "imagePullSecrets": [{"name": "first"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "logs", "emptyDir": {}}],
        "containers": [
            {
                "name": "base",
                "image": "meltano:1",
                "args": ["a", "b"],
                "ports": [{"containerPort": 80, "name": "http"}],
                "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}],
                "volumeMounts": [
                    {"name": "tmp", "mountPath": "/scratch"},
                    {"name": "logs", "mountPath": "/var/log"},
                ],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }
        ],
    },
}
SECRET = {"secretKeyRef": {"name": "s", "key": "k"}}


def of_base(**container):
    return {"spec": {"containers": [{"name": "base", **container}]}}


OVERRIDES = {
    "variables are merged by their names": of_base(
        env=[{"name": "C", "value": "c"}, {"name": "A", "value": "other"}]
    ),
    "null takes a value away": of_base(env=[{"name": "A", "value": None, "valueFrom": SECRET}]),
    "null takes a key away": {"spec": {"securityContext": {"runAsNonRoot": None}}},
    "null takes a list away": of_base(env=None),
    "what is not there cannot be taken away": {"spec": {"affinity": None}},
    "mappings are merged": {
        "metadata": {"labels": {"env": "prod"}, "annotations": {"a": "b"}},
        "spec": {"nodeSelector": {"zone": "eu"}, "securityContext": {"fsGroup": 2}},
    },
    "other lists are replaced": {
        "spec": {
            "tolerations": [{"key": "b", "operator": "Exists"}],
            "containers": [{"name": "base", "args": ["c"]}],
        }
    },
    "a second container is added": {
        "spec": {
            "initContainers": [{"name": "init", "image": "init:1"}],
            "containers": [
                {
                    "name": "proxy",
                    "image": "proxy:1",
                    "env": [{"name": "A", "value": None, "valueFrom": SECRET}],
                }
            ],
        }
    },
    "volumes and their places are merged": {
        "spec": {
            "volumes": [
                {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "data", "emptyDir": {"medium": "Memory"}},
                {"name": "logs", "emptyDir": None, "configMap": {"name": "c"}},
            ],
            "containers": [
                {
                    "name": "base",
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "data", "mountPath": "/scratch", "subPath": "x"},
                    ],
                }
            ],
        }
    },
    "ports are merged by their numbers": of_base(
        ports=[{"containerPort": 80, "name": "web"}, {"containerPort": 81}]
    ),
    "hosts and pull secrets are merged": {
        "spec": {
            "hostAliases": [
                {"ip": "10.0.0.1", "hostnames": ["two"]},
                {"ip": "10.0.0.2", "hostnames": ["three"]},
            ],
            "imagePullSecrets": [{"name": "second"}, {"name": "first"}],
            "topologySpreadConstraints": [
                {
                    "topologyKey": "zone",
                    "maxSkew": 1,
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"env": "prod"}},
                }
            ],
        }
    },
    "what is requested is merged": of_base(
        resources={"requests": {"memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    ),
}


def deployment(template):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "merge"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "merge"}},
            "template": template,
        },
    }


def in_order(part):
    """Return a part whose lists of named items are sorted: Kubernetes puts what is new first."""
    if isinstance(part, list):
        return [in_order(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: in_order(value) for key, value in part.items()}
    for key in MERGE_KEYS:
        if isinstance(found.get(key), list):
            found[key] = sorted(found[key], key=lambda item, key=key: item_name(key, item, 0))
    return found


@pytest.fixture(scope="module")
def ask(cluster):
    """Return what the API server makes of a Deployment's template, without storing it."""
    with cluster.new_namespace() as namespace:
        words = ("-n", namespace, "--output=json")
        created = cluster.kubectl("create", "-f-", *words, stdin=deployment(POD))
        stored = json.loads(created)["spec"]["template"]

        def template(*command, stdin=None):
            done = cluster.kubectl(*command, "--dry-run=server", *words, stdin=stdin)
            return in_order(json.loads(done)["spec"]["template"])

        yield stored, template


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_a_real_kubernetes_merges_alike(ask, override):
    stored, template = ask
    patch = json.dumps({"spec": {"template": override}})
    theirs = template("patch", "deployment/merge", "--type=strategic", f"--patch={patch}")
    ours = deployment(merge_pods(stored, override))
    assert theirs == template("replace", "-f-", stdin=ours)
    unchanged = override == OVERRIDES["what is not there cannot be taken away"]
    assert unchanged or theirs != in_order(stored)


def merged_list(key, *parts):
    """Return a list of which each part is laid over those before."""
    found = {}
    for part in parts:
        found = merge_pods(found, {key: part})
    return found[key]


def test_ports_of_two_protocols_are_two():
    tcp, udp = ({"containerPort": 53, "protocol": each} for each in ("TCP", "UDP"))
    assert merged_list("ports", [tcp, udp]) == [tcp, udp]
    assert merged_list("ports", [tcp], [udp]) == [tcp, udp]
    named = {"containerPort": 53, "name": "dns"}
    assert merged_list("ports", [udp, tcp], [named]) == [udp, {**tcp, **named}]
    assert merged_list("ports", [named], [tcp]) == [{**tcp, **named}]


def test_constraints_of_one_key_that_must_and_should_hold_are_two():
    must, should = (
        {"topologyKey": "zone", "whenUnsatisfiable": each, "maxSkew": 1}
        for each in ("DoNotSchedule", "ScheduleAnyway")
    )
    key = "topologySpreadConstraints"
    assert merged_list(key, [must, should]) == [must, should]
    assert merged_list(key, [must], [should]) == [must, should]
    assert merged_list(key, [must, should], [{**must, "maxSkew": 2}])[0]["maxSkew"] == 2


@pytest.mark.parametrize("keep_removals", [False, True])
def test_a_volume_has_one_source_the_last(keep_removals):
    claim = {"name": "tmp", "persistentVolumeClaim": {"claimName": "c"}}
    over = {"spec": {"volumes": [claim]}}
    merged = merge_pods(POD, over, keep_removals=keep_removals)
    assert merged["spec"]["volumes"] == [claim, {"name": "logs", "emptyDir": {}}]
    again = merge_pods(merged, {"spec": {"volumes": [{"name": "tmp", "emptyDir": {}}]}})
    assert again == POD


def test_what_is_there_keeps_its_place_and_what_is_new_follows():
    merged = merge_pods(POD, OVERRIDES["variables are merged by their names"])
    assert merged["spec"]["containers"][0]["env"] == [
        {"name": "A", "value": "other"},
        {"name": "B", "value": "b"},
        {"name": "C", "value": "c"},
    ]


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_what_is_merged_stays_as_it_is(override):
    before = deepcopy((POD, override))
    merge_pods(POD, override)
    assert (POD, override) == before


def gives_variables(override):
    containers = override.get("spec", {}).get("containers", ())
    return any(each["name"] == "base" and each.get("env") for each in containers)


@pytest.mark.parametrize("second", OVERRIDES.values(), ids=OVERRIDES)
@pytest.mark.parametrize("first", OVERRIDES.values(), ids=OVERRIDES)
def test_parts_can_be_merged_before_the_pod_is_there(first, second):
    parts = merge_pods(first, second, keep_removals=True)
    merged = merge_pods(merge_pods(POD, first), second)
    is_given_again = first == of_base(env=None) and gives_variables(second)
    assert (merge_pods(POD, parts) == merged) is not is_given_again


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ({"spec": {"containers": {"base": {}}}}, "`containers`, which must be a list of items"),
        ({"spec": {"containers": [{"image": "x"}]}}, "with a `name` each"),
        (of_base(env={"A": "b"}), "`env`, which must be a list of items with a `name` each"),
        (of_base(env="A=b"), "`env`, which must be a list"),
        (of_base(volumeMounts=[{"name": "x"}]), "with a `mountPath` each"),
        (of_base(env=[{"name": ["A"]}]), "with a `name` each"),
        (of_base(ports=[{"protocol": "UDP"}]), "with a `containerPort` each"),
        (
            of_base(ports=[{"containerPort": 53, "protocol": ["UDP"]}]),
            "with a `containerPort` each",
        ),
        (
            {"spec": {"topologySpreadConstraints": [{"topologyKey": "zone"}]}},
            "with a `topologyKey` and a `whenUnsatisfiable` each",
        ),
        (
            of_base(env=[{"name": "A", "$patch": "delete"}]),
            "`$patch`: the directives of kubectl are not supported",
        ),
    ],
)
def test_what_cannot_be_merged_is_said(part, wrong):
    with pytest.raises(InvalidValueError) as error:
        check_mergeable(part)
    assert wrong in error.value.reason


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_what_can_be_merged_is_right(override):
    check_mergeable(override)


def test_a_label_may_be_called_as_a_list_of_a_container():
    labels = {"env": "prod", "ports": "none", "volumes": "two"}
    pod = {"metadata": {"labels": labels}, "spec": {"nodeSelector": labels}}
    check_mergeable(pod)
    assert merge_pods(POD, pod)["spec"]["nodeSelector"] == {"disk": "ssd", **labels}


def test_items_are_called_by_what_they_merge_by_or_by_their_number():
    assert item_name("containers", {"name": "base"}, 0) == "base"
    assert item_name("ports", {"containerPort": 80}, 1) == "80/TCP"
    assert item_name("ports", {"containerPort": 80, "protocol": "UDP"}, 1) == "80/UDP"
    assert item_name("ports", {"protocol": "UDP"}, 1) == "1"
    assert item_name("tolerations", {"key": "a"}, 2) == "2"
