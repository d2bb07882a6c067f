"""A pod of Airflow's KubernetesPodOperator that tells how its run ended.

Importing this module takes more than a second: only a task that runs does it. Source:
https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodPhase
from kubernetes.client import CoreV1Event, V1Pod
from kubernetes.client.exceptions import ApiException

from dag_factory.run_summary import RunSummary
from dag_factory.runners.pod_failures import container_end, pod_failure
from dag_factory.runners.pod_spec import MANAGED_BY, WHOSE

_KEPT = timedelta(hours=1)
_OVER = (PodPhase.SUCCEEDED, PodPhase.FAILED)
_GONE = 404
# It succeeded, or it waits for another run.
_NOTHING_TO_SEE = (0, os.EX_TEMPFAIL)


class MeltanoPod(KubernetesPodOperator):
    """Runs one pod, and remembers how it ended.

    A pod that has failed is kept for an hour, to be looked at; any other is deleted when the task
    is over. A worker that takes over a task finds its pod, and starts no second one, unless that
    pod has failed.

    Args:
        template: The pod.
        **kwargs: Those of Airflow's operator.

    Attributes:
        template: The pod.
        summary: What the run told, once it is over.
        exit_code: That of Meltano's container.
        failure: What Kubernetes did to the pod.
        is_out_of_sight: Whether it still runs, and was not seen for too long.
    """

    template_fields = ()

    def __init__(self, *, template: Mapping[str, Any], **kwargs: Any) -> None:
        labels = template.get("metadata", {}).get("labels", {})
        super().__init__(
            pod_template_dict={**template},
            labels={name: labels[name] for name in WHOSE if name in labels},
            on_finish_action="delete_active_pod",
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            container_name_log_prefix_enabled=False,
            **kwargs,
        )
        self.template = template
        self.summary: RunSummary | None = None
        self.exit_code: int | None = None
        self.failure: str | None = None
        self.is_out_of_sight = False

    def build_pod_request_obj(self, context: Any = None, **kwargs: Any) -> V1Pod:
        """Return the pod; Airflow's merge of templates loses what they switch off."""
        pod = super().build_pod_request_obj(context, **kwargs)
        template = PodGenerator.deserialize_model_dict({**self.template})
        for name in pod.spec.attribute_map:
            if getattr(template.spec, name) is False and getattr(pod.spec, name) is None:
                setattr(pod.spec, name, False)
        return pod

    def get_or_create_pod(self, pod_request_obj: V1Pod, context: Any) -> V1Pod:
        """Return the pod of this task that still runs or has succeeded, or a new one."""
        pod = super().get_or_create_pod(pod_request_obj, context)
        if pod.status and pod.status.phase == PodPhase.FAILED:
            self.log.info("The pod %s of an earlier try has failed.", pod.metadata.name)
            self.patch_already_checked(pod)
            pod = super().get_or_create_pod(pod_request_obj, context)
        self.pod = pod
        if self._killed:
            self.on_kill()
        self._remove_old_failures(pod.metadata.namespace)
        return pod

    def cleanup(self, pod: V1Pod, remote_pod: V1Pod, *args: Any, **kwargs: Any) -> None:
        """Note how the pod ended, before Airflow cleans it up, and fails where it failed.

        One that still runs is left alone: Kubernetes could not be asked for a while. Where a task
        is stopped or takes too long, `on_kill` is called, too.
        """
        if not remote_pod or self._killed:
            return
        self._note_end(remote_pod)
        if self.is_out_of_sight:
            return
        try:
            super().cleanup(pod, remote_pod, *args, **kwargs)
        finally:
            if self.exit_code in _NOTHING_TO_SEE:
                self.pod_manager.delete_pod(remote_pod)

    def _write_logs(self, pod: V1Pod, follow: bool = False, since_time: Any = None) -> None:  # type: ignore[override]
        """Write the log of a pod that a deferred task waited for as that of any other."""
        if isinstance(since_time, str):
            since_time = pendulum.parse(since_time)
        self.pod_manager.fetch_container_logs(
            pod,
            self.base_container_name,
            follow=follow,
            since_time=since_time,
            container_name_log_prefix_enabled=False,
        )

    def _note_end(self, pod: V1Pod) -> None:
        try:
            if pod.status.phase not in _OVER:
                pod = self.pod_manager.read_pod(pod)
            events: Iterable[CoreV1Event] = ()
            if pod.status.phase != PodPhase.SUCCEEDED:
                events = self.pod_manager.read_pod_events(pod).items
        except ApiException as error:
            if error.status != _GONE:
                raise
            name = pod.metadata.name
            self.failure = f"Deleted: the pod {name} is gone: somebody deleted it, or its node did"
            return
        self.failure = pod_failure(pod, events)
        self.is_out_of_sight = pod.status.phase == PodPhase.RUNNING and not self.failure
        self.exit_code, message = container_end(pod)
        self.summary = RunSummary.from_json(message)

    def _remove_old_failures(self, namespace: str) -> None:
        """Delete the pods of any task that have failed and have been kept for long enough."""
        selector = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
        try:
            found = self.client.list_namespaced_pod(
                namespace, label_selector=selector, field_selector=f"status.phase={PodPhase.FAILED}"
            )
            for pod in found.items:
                if datetime.now(UTC) - _ended_at(pod) > _KEPT:
                    self.pod_manager.delete_pod(pod)
        except ApiException as error:
            self.log.warning("Old failed pods cannot be removed: %s", error.reason)


def _ended_at(pod: V1Pod) -> datetime:
    states = (status.state for status in pod.status.container_statuses or ())
    ends = [state.terminated.finished_at for state in states if state and state.terminated]
    moment: datetime = max(filter(None, ends), default=pod.metadata.creation_timestamp)
    return moment
