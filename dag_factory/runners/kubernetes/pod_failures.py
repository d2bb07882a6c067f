"""Why a pod did not do its work, in words, and what to change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dag_factory.options.pod_values import BASE_CONTAINER

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1ContainerState, V1ContainerStatus, V1Pod
    from kubernetes.client.exceptions import ApiException

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_STARTING = ("ContainerCreating", "PodInitializing")
_NOT_STARTED = ("StartError", "ContainerCannotRun")
_OOM_KILLED = "OOMKilled"
_BACK_OFF = "Back-off"
# Kubelet says this beside the reason.
_TIMED_OUT = "timed out waiting for the condition"
_HINTS = {
    "Evicted": "raise `resources: {requests: ...}`, so that others go first, or its volume's size",
    "DeadlineExceeded": "raise activeDeadlineSeconds in `pod_override`",
    "Preempting": "give it a higher priorityClassName in `pod_override`",
    "NodeLost": "it is tried again on another node",
    "Shutdown": "it is tried again on another node",
    "Terminated": "it is tried again on another node",
}

# https://kubernetes.io/docs/concepts/security/pod-security-admission/
_UNSAFE = "violates PodSecurity"
_WRONG = (400, 422)
_REFUSALS = {
    401: "see the credentials of its connection",
    403: "see the role of its connection, or the quota of the namespace",
    404: "see `operator: {namespace: ...}`, or the namespace of its connection",
    422: "correct `resources` or `pod_override`",
}


def pod_failure(pod: V1Pod, events: Iterable[CoreV1Event] = ()) -> str | None:
    """Return what Kubernetes did to a pod, and what to do about it; nothing, if it did nothing.

    Args:
        pod: As it is at the end.
        events: Those of the pod.
    """
    return next(_failures(pod, [*events]), None)


def _failures(pod: V1Pod, events: list[CoreV1Event]) -> Iterator[str]:
    """Yield what is wrong with a pod, the cause first."""
    name, status = f"the pod {pod.metadata.name}", pod.status
    state = _state(pod)
    if state and state.terminated and state.terminated.reason == _OOM_KILLED:
        limit = (_limits(pod) or {}).get("memory")
        allowed = f"more memory than its limit of {limit}" if limit else "the node's last memory"
        hint = "raise `resources: {limits: {memory: ...}}`, or have the tap send smaller batches"
        yield f"{_OOM_KILLED}: {name} wanted {allowed}; {hint}"
    if status.reason:
        hint = _HINTS.get(status.reason, "see the events of the pod")
        yield f"{status.reason}: {name} was ended: {status.message or 'no reason'}; {hint}"
    if pod.metadata.deletion_timestamp:
        yield f"Deleted: {name} was deleted while it ran: by somebody, or with its node"
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        yield from _unstarted(name, container, events)
    for container in status.init_container_statuses or ():
        ended = container.state.terminated
        if ended and ended.exit_code:
            said = f" with exit code {ended.exit_code}: {ended.message or 'see its log'}"
            yield f"{ended.reason}: the init container {container.name} of {name} failed{said}"
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            hint = "lower `resources: {requests: ...}`, or correct node_selector and tolerations"
            yield f"Unschedulable: no node takes {name}: {condition.message}; {hint}"
    if status.phase == "Pending":
        yield f"{name} did not start in time: {_detail(None, events)}; see its events above"


def _unstarted(name: str, container: V1ContainerStatus, events: list[CoreV1Event]) -> Iterator[str]:
    """Yield why a container of a pod did not start."""
    waiting, ended = container.state.waiting, container.state.terminated
    if waiting and waiting.reason in _NO_IMAGE:
        hint = "check `image` or MELTANO_IMAGE, and the pull secret of the service account"
        image = f"the image {container.image} cannot be pulled"
        yield f"{waiting.reason}: {image}: {_detail(waiting.message, events)}; {hint}"
    elif waiting and waiting.reason not in (None, *_STARTING):
        hint = "check what `pod_override` names: config maps, secrets, commands"
        if "runAsNonRoot" in (waiting.message or ""):
            hint = "build the image with `USER` and a number that is not 0"
        yield f"{waiting.reason}: {name} cannot start: {waiting.message}; {hint}"
    elif ended and ended.reason in _NOT_STARTED:
        hint = "check the image's entrypoint, and `command` in `pod_override`"
        yield f"{ended.reason}: {name} cannot start: {ended.message}; {hint}"


def pod_gone(name: str) -> str:
    """Return what is said of a pod that is not there any more."""
    return f"Deleted: the pod {name} is gone: somebody deleted it, or its node did"


def refusal(error: ApiException) -> str:
    """Return why Kubernetes did not take a pod, in its words, and what to do about it."""
    said = error.reason
    with suppress(TypeError, ValueError, KeyError):
        said = json.loads(error.body)["message"]
    hint = _REFUSALS[422] if is_final(error) else _REFUSALS.get(error.status)
    return f"Kubernetes refused the pod: {said}" + (f"; {hint}" if hint else "")


def is_final(error: ApiException) -> bool:
    """Return whether Kubernetes says that the pod is wrong: it would never take it."""
    return error.status in _WRONG or _UNSAFE in str(error.body)


def container_end(pod: V1Pod) -> tuple[int | None, str]:
    """Return the exit code of Meltano's container, if it ended, and what it left to say."""
    state = _state(pod)
    terminated = state.terminated if state else None
    if terminated is None:
        return None, ""
    return terminated.exit_code, terminated.message or ""


def _state(pod: V1Pod) -> V1ContainerState | None:
    for status in pod.status.container_statuses or ():
        if status.name == BASE_CONTAINER:
            return status.state
    return None


def _container(pod: V1Pod) -> Any:
    return next(each for each in pod.spec.containers if each.name == BASE_CONTAINER)


def _limits(pod: V1Pod) -> dict[str, str] | None:
    resources = _container(pod).resources
    return resources.limits if resources else None


def _detail(message: str | None, events: list[CoreV1Event]) -> str:
    """Return what is said of a failure, or of events the longest: kubelet soon says `Back-off`."""
    if message and _BACK_OFF not in message:
        return message
    warnings = (each.message or "" for each in events if each.type == "Warning")
    said = [each for each in warnings if _TIMED_OUT not in each]
    return max([message or "", *said], key=len) or "Kubernetes says no more"
