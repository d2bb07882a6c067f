"""Deletes the pods that earlier tasks have left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dag_factory.options.pod_values import MANAGED_BY

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.utils.pod_manager import PodManager
    from kubernetes.client import CoreV1Api, V1Pod

FAILED_POD_LIFETIME = timedelta(hours=1)
"""How long a failed pod is kept, so that people can look at it."""
LOST_POD_LIFETIME = timedelta(days=1)
"""How long a finished pod is kept if its worker died and no retry has seen its end."""
_OUR_PODS = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
_FINISHED = "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"


def delete_old_pods(
    client: CoreV1Api, manager: PodManager, namespace: str, checked_label: str
) -> None:
    """Delete the finished pods of any task whose lifetime is over.

    Args:
        client: The Kubernetes client that lists the pods.
        manager: Deletes the pods, and ignores those that are already gone.
        namespace: The namespace of the pods.
        checked_label: The label of pods whose end a task has seen.

    Raises:
        ApiException: The pods cannot be listed or deleted.
    """
    found = client.list_namespaced_pod(
        namespace, label_selector=_OUR_PODS, field_selector=_FINISHED
    )
    for pod in found.items:
        is_checked = checked_label in pod.metadata.labels
        lifetime = FAILED_POD_LIFETIME if is_checked else LOST_POD_LIFETIME
        if datetime.now(UTC) - _end_time(pod) > lifetime:
            manager.delete_pod(pod)


def _end_time(pod: V1Pod) -> datetime:
    """Return when a pod ended; the containers of an evicted pod may not say so."""
    states = (status.state for status in pod.status.container_statuses or ())
    times = [state.terminated.finished_at for state in states if state and state.terminated]
    times += [each.last_transition_time for each in pod.status.conditions or ()]
    latest: datetime = max(filter(None, times), default=pod.metadata.creation_timestamp)
    return latest
