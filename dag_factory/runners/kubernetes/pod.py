"""A pod of Airflow's KubernetesPodOperator that tells how its run ended.

Importing this module takes more than a second: only a task that runs does it. Source:
https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import pendulum
import tenacity
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import KubernetesApiException
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodNotFoundException, PodPhase
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from kubernetes.client import CoreV1Event, V1ObjectMeta, V1Pod
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from dag_factory.meltano_process.result import RunSummary
from dag_factory.options.pod_values import IDENTITY_LABELS
from dag_factory.runners.kubernetes.old_pods import remove_old_pods
from dag_factory.runners.kubernetes.pod_failures import (
    container_end,
    is_final,
    pod_failure,
    pod_gone,
    refusal,
)

# Airflow's state of a task, across its tries: whether its pod was handed to the triggerer.
_DEFERRED = "meltano_deferred"
_OVER = (PodPhase.SUCCEEDED, PodPhase.FAILED)
_GONE = 404
# It succeeded, or it waits for another run.
_NOTHING_TO_SEE = (0, os.EX_TEMPFAIL)


class MeltanoPod(KubernetesPodOperator):
    """Runs one pod, and remembers how it ended.

    A pod that has failed is kept for an hour, to be looked at; any other is deleted when the task
    is over. A worker that takes over a task finds its pod, and starts no second one, unless that
    pod has failed or is being deleted, or the task was cleared while it was deferred.

    Args:
        template: The pod.
        **kwargs: Those of Airflow's operator.

    Attributes:
        template: The pod.
        summary: What the run told, once it is over.
        exit_code: That of Meltano's container.
        failure: What Kubernetes did to the pod.
        still_runs: Whether it ran when it was last seen.
    """

    template_fields = ()

    def __init__(self, *, template: Mapping[str, Any], **kwargs: Any) -> None:
        labels = template.get("metadata", {}).get("labels", {})
        super().__init__(
            pod_template_dict={**template},
            labels={name: labels[name] for name in IDENTITY_LABELS if name in labels},
            on_finish_action="delete_active_pod",
            log_pod_spec_on_failure=False,
            container_name_log_prefix_enabled=False,
            **kwargs,
        )
        self.template = template
        self.summary: RunSummary | None = None
        self.exit_code: int | None = None
        self.failure: str | None = None
        self.still_runs = False

    def get_or_create_pod(self, pod_request_obj: V1Pod, context: Any) -> V1Pod:
        """Return the pod of this task that still runs or has succeeded, or a new one.

        Raises:
            AirflowFailException: Kubernetes says that the pod is wrong: no retry would help.
            AirflowException: Kubernetes does not take the pod.
        """
        try:
            pod = super().get_or_create_pod(pod_request_obj, context)
            if self._is_left(pod, context):
                self._leave(pod)
                pod = super().get_or_create_pod(pod_request_obj, context)
        except ApiException as error:
            kind = AirflowFailException if is_final(error) else AirflowException
            raise kind(refusal(error)) from None
        self.pod = pod
        if self._killed:
            self.on_kill()
        try:
            remove_old_pods(self.client, pod.metadata.namespace, self.POD_CHECKED_KEY)
        except (ApiException, HTTPError) as error:
            self.log.warning("Old pods are not removed: %s", error)
        return pod

    def _is_left(self, pod: V1Pod, context: Any) -> bool:
        """Return whether a pod is no longer this task's.

        A task that was cleared while it was deferred runs again before the triggerer has deleted
        its pod.
        """
        if not pod.status:
            return False
        store = context.get("task_state_store")
        is_cleared = store is not None and store.get(_DEFERRED)
        is_failed = pod.status.phase == PodPhase.FAILED
        return bool(is_cleared or is_failed or pod.metadata.deletion_timestamp)

    def _leave(self, pod: V1Pod) -> None:
        """See to it that a pod is over, and is not found again."""
        why = pod_failure(pod) or _ended(pod) or "its task was cleared"
        self.log.info("The pod %s is not taken up again: %s", pod.metadata.name, why)
        self.patch_already_checked(pod)
        if pod.status.phase not in _OVER:
            self.pod_manager.delete_pod(pod)
            self._wait_until_gone(pod)

    def _wait_until_gone(self, pod: V1Pod) -> None:
        """Wait for the end of a pod that is being deleted, so that there is one run at a time.

        Not for ever: nobody tells when a node is lost with its pods.
        """
        wait = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda found: found and not self._killed),
            wait=tenacity.wait_fixed(1),
            stop=tenacity.stop_after_delay(pod.spec.termination_grace_period_seconds + 60),
            retry_error_callback=lambda _: None,
        )
        wait(self._read, pod)

    def _read(self, pod: V1Pod) -> V1Pod | None:
        """Return a pod as it is now; nothing, where it is gone."""
        try:
            return self.pod_manager.read_pod(pod)
        except ApiException as error:
            if error.status != _GONE:
                raise
            return None

    def invoke_defer_method(self, last_log_time: Any = None, context: Any = None) -> None:
        """Leave the worker, and remember that nothing but the triggerer looks after the pod."""
        if store := context.get("task_state_store"):
            store.set(_DEFERRED, value=True)
        super().invoke_defer_method(last_log_time, context)

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> Any:
        """Carry on where a deferred task has waited for its pod.

        Raises:
            AirflowTaskTimeout: It took longer than it may. Its pod is deleted.
        """
        if store := context.get("task_state_store"):
            store.delete(_DEFERRED)
        deadline = event.get("_execution_deadline")
        if event["status"] == "timeout" and deadline and time.time() >= deadline:
            self._end_late_pod(event)
        try:
            return super().trigger_reentry(context, event)
        except PodNotFoundException:
            self.failure = pod_gone(event["name"])
            raise

    def _end_late_pod(self, event: dict[str, Any]) -> None:
        """Delete the pod of a task that took too long, unless it has succeeded meanwhile."""
        metadata = V1ObjectMeta(name=event["name"], namespace=event["namespace"])
        self.pod = self._read(V1Pod(metadata=metadata))
        if self.pod:
            self._note_end(self.pod)
            if self.exit_code == 0:
                return
            self.on_kill()
            if self.get_logs and self.pod.status.phase != PodPhase.PENDING:
                with suppress(ApiException, HTTPError):
                    self._write_logs(self.pod, follow=True, since_time=event.get("last_log_time"))
        why = f": {self.failure}" if self.failure else ""
        raise AirflowTaskTimeout(f"The task took longer than {self.execution_timeout}{why}")

    def delete_found(self, context: Any) -> None:
        """Delete the pod of a task that nobody waits for any more, if there is one."""
        namespace = self.build_pod_request_obj(context).metadata.namespace
        try:
            self.pod = self.find_pod(namespace, context)
        except (AirflowException, ApiException, HTTPError, KubernetesApiException) as error:
            self.log.warning("Whether there is a pod to delete is not known: %s", error)
            return
        self.on_kill()
        if store := context.get("task_state_store"):
            store.delete(_DEFERRED)

    def on_kill(self) -> None:
        """Delete the pod, if it is there."""
        self._killed = True
        if self.pod:
            try:
                self.pod_manager.delete_pod(self.pod)
            except (ApiException, HTTPError) as error:
                self.log.warning("The pod %s is not deleted: %s", self.pod.metadata.name, error)

    def cleanup(self, pod: V1Pod, remote_pod: V1Pod, *args: Any, **kwargs: Any) -> None:
        """Note how the pod ended before Airflow cleans it up; fail where the pod has failed.

        One that still runs is left alone: Kubernetes could not be asked for a while. Where a task
        is stopped or takes too long, `on_kill` is called, too.
        """
        if not remote_pod or self._killed:
            return
        ended = self._note_end(remote_pod)
        if ended is None or self.still_runs:
            return
        try:
            super().cleanup(pod, ended, *args, **kwargs)
        finally:
            if self.exit_code in _NOTHING_TO_SEE:
                self.pod_manager.delete_pod(ended)

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

    def _note_end(self, pod: V1Pod) -> V1Pod | None:
        """Note how a pod ended, and return it as it is now; nothing, where it is gone."""
        if pod.status.phase not in _OVER:
            name = pod.metadata.name
            pod = self._read(pod)
            if pod is None:
                self.failure = pod_gone(name)
                return None
        self.exit_code, message = container_end(pod)
        self.summary = RunSummary.from_json(message)
        events: Iterable[CoreV1Event] = ()
        if pod.status.phase != PodPhase.SUCCEEDED:
            with suppress(ApiException, HTTPError, KubernetesApiException):
                events = self.pod_manager.read_pod_events(pod).items
        self.failure = pod_failure(pod, events)
        self.still_runs = pod.status.phase == PodPhase.RUNNING and not self.failure
        return pod


def _ended(pod: V1Pod) -> str | None:
    """Return how a pod has failed by itself."""
    if pod.status.phase != PodPhase.FAILED:
        return None
    code, message = container_end(pod)
    summary = RunSummary.from_json(message)
    error = summary.error if summary else None
    return f"it ended with exit code {code}: {error or 'see its log'}"
