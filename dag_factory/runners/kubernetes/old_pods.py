"""Removes the pods that tasks have left behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from kubernetes.client.exceptions import ApiException

from dag_factory.options.pod_values import MANAGED_BY

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api, V1Pod

KEPT = timedelta(hours=1)
"""For how long a pod that has failed is kept, to be looked at."""
FORGOTTEN = timedelta(days=1)
"""For how long one is kept whose end no task has seen: its worker died, and nothing tried again."""
_SELECTOR = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
_OVER = "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"


def remove_old_pods(client: CoreV1Api, namespace: str, checked: str) -> None:
    """Delete the pods of any task that are over and have been kept for long enough.

    Args:
        client: Of Kubernetes.
        namespace: Where they are.
        checked: The label of those whose end a task has seen.

    Raises:
        ApiException: They cannot be listed or deleted.
    """
    found = client.list_namespaced_pod(namespace, label_selector=_SELECTOR, field_selector=_OVER)
    for pod in found.items:
        if datetime.now(UTC) - _end(pod) > (KEPT if checked in pod.metadata.labels else FORGOTTEN):
            try:
                client.delete_namespaced_pod(pod.metadata.name, namespace)
            except ApiException as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise


def _end(pod: V1Pod) -> datetime:
    """Return when a pod ended: not every container of one that was evicted tells."""
    states = (status.state for status in pod.status.container_statuses or ())
    moments = [state.terminated.finished_at for state in states if state and state.terminated]
    moments += [each.last_transition_time for each in pod.status.conditions or ()]
    moment: datetime = max(filter(None, moments), default=pod.metadata.creation_timestamp)
    return moment
