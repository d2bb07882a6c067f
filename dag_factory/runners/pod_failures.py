"""Why a pod did not do its work, in words, and what to change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dag_factory.pod_values import BASE

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1ContainerState, V1Pod

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_STARTING = ("ContainerCreating", "PodInitializing")
_OOM_KILLED = "OOMKilled"
_HINTS = {
    "Evicted": "raise `resources: {requests: ...}` to what it needs, so that others go first",
    "DeadlineExceeded": "raise activeDeadlineSeconds in `pod_override`",
    "Preempting": "give it a higher priorityClassName in `pod_override`",
    "NodeLost": "it is tried again on another node",
    "Shutdown": "it is tried again on another node",
    "Terminated": "it is tried again on another node",
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
    waiting, terminated = (state.waiting, state.terminated) if state else (None, None)
    if terminated and terminated.reason == _OOM_KILLED:
        limit = (_limits(pod) or {}).get("memory")
        allowed = f"more memory than its limit of {limit}" if limit else "the node's last memory"
        hint = "raise `resources: {limits: {memory: ...}}`, or have the tap send smaller batches"
        yield f"{_OOM_KILLED}: {name} wanted {allowed}; {hint}"
    if status.reason:
        hint = _HINTS.get(status.reason, "see the events of the pod")
        yield f"{status.reason}: {name} was ended: {status.message or 'no reason'}; {hint}"
    if pod.metadata.deletion_timestamp:
        yield f"Deleted: {name} was deleted while it ran: by somebody, or with its node"
    if waiting and waiting.reason in _NO_IMAGE:
        hint = "check `image` or MELTANO_IMAGE, and the pull secret of the service account"
        image = f"the image {_container(pod).image} cannot be pulled"
        yield f"{waiting.reason}: {image}: {_detail(waiting.message, events)}; {hint}"
    if waiting and waiting.reason not in (None, *_STARTING):
        hint = "check what `pod_override` names: config maps, secrets, commands"
        yield f"{waiting.reason}: {name} cannot start: {waiting.message}; {hint}"
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            hint = "lower `resources: {requests: ...}`, or correct node_selector and tolerations"
            yield f"Unschedulable: no node takes {name}: {condition.message}; {hint}"
    if status.phase == "Pending":
        yield f"{name} did not start in time: {_detail(None, events)}; see its events above"


def container_end(pod: V1Pod) -> tuple[int | None, str]:
    """Return the exit code of Meltano's container, if it ended, and what it left to say."""
    state = _state(pod)
    terminated = state.terminated if state else None
    if terminated is None:
        return None, ""
    return terminated.exit_code, terminated.message or ""


def _state(pod: V1Pod) -> V1ContainerState | None:
    for status in pod.status.container_statuses or ():
        if status.name == BASE:
            return status.state
    return None


def _container(pod: V1Pod) -> Any:
    return next(each for each in pod.spec.containers if each.name == BASE)


def _limits(pod: V1Pod) -> dict[str, str] | None:
    resources = _container(pod).resources
    return resources.limits if resources else None


def _detail(message: str | None, events: list[CoreV1Event]) -> str:
    """Return the longest that is said of a failure: kubelet soon says `Back-off` only."""
    said = [each.message or "" for each in events if each.type == "Warning"]
    return max([message or "", *said], key=len) or "Kubernetes says no more"
