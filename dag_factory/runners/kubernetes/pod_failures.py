"""Explains why a pod failed, and what to change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dag_factory.options.pod_values import BASE_CONTAINER

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1ContainerState, V1ContainerStatus, V1Pod
    from kubernetes.client.exceptions import ApiException

_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_STARTING_REASONS = ("ContainerCreating", "PodInitializing")
_START_ERROR_REASONS = ("StartError", "ContainerCannotRun")
_OOM_KILLED = "OOMKilled"
_BACK_OFF = "Back-off"
# The kubelet adds such an event to the event that has the reason.
_TIMED_OUT = "timed out waiting for the condition"
_HINTS = {
    "Evicted": "raise `resources: {requests: ...}`, so that other pods are evicted first, or the "
    "size limit of its volume",
    "DeadlineExceeded": "raise activeDeadlineSeconds in `pod_override`",
    "Preempting": "set a priorityClassName of a higher priority in `pod_override`",
    "NodeLost": "a retry runs on another node",
    "Shutdown": "a retry runs on another node",
    "Terminated": "a retry runs on another node",
}

# https://kubernetes.io/docs/concepts/security/pod-security-admission/
_POD_SECURITY_VIOLATION = "violates PodSecurity"
_INVALID_POD_STATUSES = (400, 422)
_INVALID_POD_HINT = "correct `resources` or `pod_override`"
_REJECTION_HINTS = {
    401: "check the credentials of the connection",
    403: "check the role of the connection, or the quota of the namespace",
    404: "check `operator: {namespace: ...}`, or the namespace of the connection",
}


def pod_failure(pod: V1Pod, events: Iterable[CoreV1Event] = ()) -> str | None:
    """Return why Kubernetes stopped or did not start a pod, and what to do; `None` if it did not.

    Args:
        pod: The last state of the pod.
        events: The events of the pod.
    """
    return next(_failures(pod, [*events]), None)


def _failures(pod: V1Pod, events: list[CoreV1Event]) -> Iterator[str]:
    """Yield the reasons why a pod failed, the cause first."""
    name, status = f"the pod {pod.metadata.name}", pod.status
    state = _state(pod)
    if state and state.terminated and state.terminated.reason == _OOM_KILLED:
        limit = (_limits(pod) or {}).get("memory")
        needed = f"its limit of {limit}" if limit else "its node has left"
        hint = "raise `resources: {limits: {memory: ...}}`, or have the tap send smaller batches"
        yield f"{_OOM_KILLED}: {name} needed more memory than {needed}; {hint}"
    if status.reason:
        hint = _HINTS.get(status.reason, "see the events of the pod")
        yield f"{status.reason}: {name} was stopped: {status.message or 'no reason given'}; {hint}"
    if pod.metadata.deletion_timestamp:
        yield f"Deleted: {name} was deleted while it ran, by somebody or together with its node"
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        yield from _unstarted(name, container, events)
    for container in status.init_container_statuses or ():
        ended = container.state.terminated
        if ended and ended.exit_code:
            result = f"failed with exit code {ended.exit_code}: {ended.message or 'see its log'}"
            yield f"{ended.reason}: the init container {container.name} of {name} {result}"
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            hint = "lower `resources: {requests: ...}`, or correct node_selector and tolerations"
            yield f"Unschedulable: no node can run {name}: {condition.message}; {hint}"
    if status.phase == "Pending":
        yield f"{name} did not start in time: {_detail(None, events)}; see its events above"


def _unstarted(name: str, container: V1ContainerStatus, events: list[CoreV1Event]) -> Iterator[str]:
    """Yield the reasons why a container of a pod did not start."""
    waiting, ended = container.state.waiting, container.state.terminated
    if waiting and waiting.reason in _IMAGE_REASONS:
        hint = "check `image` or MELTANO_IMAGE, and the pull secret of the service account"
        image = f"the image {container.image} cannot be pulled"
        yield f"{waiting.reason}: {image}: {_detail(waiting.message, events)}; {hint}"
    elif waiting and waiting.reason not in (None, *_STARTING_REASONS):
        hint = "check what `pod_override` names: config maps, secrets, commands"
        if "runAsNonRoot" in (waiting.message or ""):
            hint = "build the image with a numeric `USER` other than 0"
        yield f"{waiting.reason}: {name} cannot start: {waiting.message}; {hint}"
    elif ended and ended.reason in _START_ERROR_REASONS:
        hint = "check the image's entrypoint, and `command` in `pod_override`"
        yield f"{ended.reason}: {name} cannot start: {ended.message}; {hint}"


def pod_gone(name: str) -> str:
    """Return the message about a pod that no longer exists."""
    return f"Deleted: the pod {name} was deleted, by somebody or together with its node"


def rejection(error: ApiException) -> str:
    """Return why Kubernetes rejected a pod, and what to do."""
    reason = error.reason
    with suppress(TypeError, ValueError, KeyError):
        reason = json.loads(error.body)["message"]
    hint = _INVALID_POD_HINT if is_final(error) else _REJECTION_HINTS.get(error.status)
    return f"Kubernetes rejected the pod: {reason}" + (f"; {hint}" if hint else "")


def is_final(error: ApiException) -> bool:
    """Return whether Kubernetes would reject the same pod again."""
    return error.status in _INVALID_POD_STATUSES or _POD_SECURITY_VIOLATION in str(error.body)


def container_end(pod: V1Pod) -> tuple[int | None, str]:
    """Return the exit code of Meltano's container, if it has ended, and its termination message."""
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
    """Return the message of a failure; if it says only `Back-off`, the longest of its events."""
    if message and _BACK_OFF not in message:
        return message
    warnings = (each.message or "" for each in events if each.type == "Warning")
    reasons = [each for each in warnings if _TIMED_OUT not in each]
    return max([message or "", *reasons], key=len) or "Kubernetes gives no details"
