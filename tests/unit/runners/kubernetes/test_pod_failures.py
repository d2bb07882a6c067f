"""Why a pod failed: `pods.json` has pods as a real cluster gave them, as far as they are read."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from dag_factory.meltano_process.result import RunSummary
from dag_factory.runners.kubernetes.pod_failures import (
    container_end,
    is_final,
    pod_failure,
    rejection,
)

GIVEN = json.loads(Path(__file__).with_name("pods.json").read_text())
NO_PULL = "cannot be pulled: Failed to pull image"
CANNOT_START = "cannot start: failed to create containerd task"


def read(part, kind):
    return ApiClient().deserialize(SimpleNamespace(data=json.dumps(part)), kind)


def pod_of(name, **status):
    given = GIVEN[name]["pod"]
    return read({**given, "status": {**given["status"], **status}}, "V1Pod")


def events_of(name):
    needed = {"metadata": {}, "involvedObject": {}}
    return [read({**each, **needed}, "CoreV1Event") for each in GIVEN[name]["events"]]


def said_of(name):
    return pod_failure(pod_of(name), events_of(name))


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        (
            "oom-killed",
            "OOMKilled: the pod oom-killed needed more memory than its limit of 32Mi",
            "raise `resources: {limits: {memory: ...}}`",
        ),
        (
            "evicted",
            "Evicted: the pod evicted was stopped: Usage of EmptyDir",
            "the size limit of its volume",
        ),
        (
            "deadline-exceeded",
            "DeadlineExceeded: the pod deadline-exceeded was stopped: Pod was active",
            "raise activeDeadlineSeconds",
        ),
        ("deleted", "Deleted: the pod deleted was deleted while it ran", "by somebody"),
        ("image-missing", f"ImagePullBackOff: the image localhost/absent:1 {NO_PULL}", "`image`"),
        ("image-misnamed", "InvalidImageName: the image localhost/Absent:1 cannot", "`image`"),
        (
            "init-image-missing",
            "ErrImagePull: the image localhost/absent:2 cannot be pulled: rpc error",
            "`image`",
        ),
        (
            "unschedulable",
            "Unschedulable: no node can run the pod unschedulable: 0/1 nodes are available: 1 In",
            "lower `resources: {requests: ...}`",
        ),
        (
            "secret-missing",
            'CreateContainerConfigError: the pod secret-missing cannot start: secret "absent" not',
            "check what `pod_override` names",
        ),
        (
            "root-refused",
            "the pod root-refused cannot start: container has runAsNonRoot and image will run as",
            "build the image with a numeric `USER` other than 0",
        ),
        (
            "command-missing",
            f"StartError: the pod command-missing {CANNOT_START}",
            "check the image's entrypoint",
        ),
        (
            "volume-missing",
            'did not start in time: MountVolume.SetUp failed for volume "data" : secret "absent"',
            "see its events",
        ),
        (
            "init-failed",
            "Error: the init container init of the pod init-failed failed with exit code 3",
            "see its log",
        ),
    ],
)
def test_what_kubernetes_did_to_a_pod_is_said_with_what_to_change(name, said, hint):
    found = said_of(name)
    assert said in found
    assert hint in found
    assert "\n" not in found


@pytest.mark.parametrize("name", ["succeeded", "failed"])
def test_to_a_pod_that_ended_by_itself_it_did_nothing(name):
    assert said_of(name) is None


def test_without_events_the_reason_is_said_still():
    assert "absent:1 cannot be pulled: Back-off" in pod_failure(pod_of("image-missing"))
    said = pod_failure(pod_of("volume-missing"))
    assert "did not start in time: Kubernetes gives no details" in said


def test_what_the_events_of_others_say_does_not_hide_the_reason():
    pod = pod_of("image-missing")
    pod.status.container_statuses[0].state.waiting.message = "no such host"
    assert "cannot be pulled: no such host; check" in pod_failure(pod, events_of("image-missing"))


@pytest.mark.parametrize(
    ("status", "message", "final", "hint"),
    [
        (422, "spec.x: Invalid value", True, "correct `resources` or `pod_override`"),
        (400, "unknown field", True, "correct `resources` or `pod_override`"),
        (403, 'pods "a" is forbidden: violates PodSecurity "restricted"', True, "`pod_override`"),
        (403, 'pods "a" is forbidden: exceeded quota', False, "the quota of the namespace"),
        (404, "namespaces not found", False, "namespace of the connection"),
        (500, "etcd is away", False, "etcd is away"),
    ],
)
def test_a_rejection_is_final_where_the_pod_is_wrong(status, message, final, hint):
    error = ApiException(status, "no")
    error.body = json.dumps({"message": message})
    assert is_final(error) is final
    assert rejection(error).startswith(f"Kubernetes rejected the pod: {message}")
    assert rejection(error).endswith(hint)


def test_without_a_limit_the_node_was_full():
    pod = pod_of("oom-killed")
    pod.spec.containers[0].resources = None
    assert "needed more memory than its node has left" in pod_failure(pod)


def test_a_reason_that_nobody_knows_is_handed_on():
    pod = pod_of("evicted", reason="UnexpectedAdmissionError", message=None)
    assert pod_failure(pod).startswith(
        "UnexpectedAdmissionError: the pod evicted was stopped: no re"
    )


def test_how_the_container_ended_is_its_code_and_what_it_left():
    assert container_end(pod_of("oom-killed")) == (137, "")
    code, left = container_end(pod_of("failed"))
    assert (code, RunSummary.from_json(left)) == (1, RunSummary(1, "tap-a: no"))
    for name in ("evicted", "unschedulable", "image-missing", "deleted"):
        assert container_end(pod_of(name)) == (None, "")
