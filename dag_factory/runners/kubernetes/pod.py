"""Runs a pod with Airflow's KubernetesPodOperator, and records the result of its run.

Importing this module takes more than a second, so only a running task does it. Source:
https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
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

from dag_factory.exit_codes import ExitCode
from dag_factory.meltano_process.result import RunSummary
from dag_factory.options.pod_values import IDENTITY_LABELS
from dag_factory.runners.kubernetes.old_pods import delete_old_pods
from dag_factory.runners.kubernetes.pod_failures import (
    container_end,
    is_final,
    pod_failure,
    pod_gone,
    rejection,
)

# A key in Airflow's store of a task's state, which all attempts share. It is set while only the
# triggerer waits for the pod.
_DEFERRED_KEY = "meltano_deferred"
_FINISHED_PHASES = (PodPhase.SUCCEEDED, PodPhase.FAILED)
# A pod that ended with one of these codes did not fail, so that nobody needs to look at it.
_UNREMARKABLE_CODES = (0, ExitCode.LOCKED)


class MeltanoPod(KubernetesPodOperator):
    """Runs one pod, and records how it ended.

    A failed pod is kept for an hour, so that people can look at it. Any other pod is deleted when
    the task ends. A worker that takes over a task finds its pod and does not start another one,
    unless the pod has failed or is being deleted, or the task was cleared while it was deferred.

    Args:
        template: The pod.
        **kwargs: The arguments of Airflow's operator.

    Attributes:
        template: The pod.
        summary: The result of the run, once it has ended.
        exit_code: The exit code of Meltano's container.
        failure: Why Kubernetes stopped or did not start the pod.
        still_runs: Whether the pod was running when its status was last read.
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
        """Return the pod of this task that is running or has succeeded, or start a new one.

        Raises:
            AirflowFailException: Kubernetes rejects the pod as invalid: no retry would succeed.
            AirflowException: Kubernetes rejects the pod for another reason.
        """
        try:
            pod = super().get_or_create_pod(pod_request_obj, context)
            if self._is_obsolete(pod, context):
                self._abandon(pod)
                pod = super().get_or_create_pod(pod_request_obj, context)
        except ApiException as error:
            kind = AirflowFailException if is_final(error) else AirflowException
            raise kind(rejection(error)) from None
        self.pod = pod
        if self._killed:
            self.on_kill()
        try:
            delete_old_pods(
                self.client, self.pod_manager, pod.metadata.namespace, self.POD_CHECKED_KEY
            )
        except (ApiException, HTTPError) as error:
            self.log.warning("Old pods could not be deleted: %s", error)
        return pod

    def _is_obsolete(self, pod: V1Pod, context: Any) -> bool:
        """Return whether a pod that was found must not be reused.

        A task that was cleared while it was deferred starts again before the triggerer has deleted
        its pod.
        """
        if not pod.status:
            return False
        store = context.get("task_state_store")
        is_cleared = store is not None and store.get(_DEFERRED_KEY)
        is_failed = pod.status.phase == PodPhase.FAILED
        return bool(is_cleared or is_failed or pod.metadata.deletion_timestamp)

    def _abandon(self, pod: V1Pod) -> None:
        """End a pod, and label it so that it is not found again."""
        reason = pod_failure(pod) or _own_failure(pod) or "its task was cleared"
        self.log.info("The pod %s is not reused: %s", pod.metadata.name, reason)
        self.patch_already_checked(pod)
        if pod.status.phase not in _FINISHED_PHASES:
            self.pod_manager.delete_pod(pod)
            self._wait_until_gone(pod)

    def _wait_until_gone(self, pod: V1Pod) -> None:
        """Wait until a pod that is being deleted has ended, so that no two runs overlap.

        The wait is limited: when a node is lost, its pods may never be reported as ended.
        """
        wait = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda found: found and not self._killed),
            wait=tenacity.wait_fixed(1),
            stop=tenacity.stop_after_delay(pod.spec.termination_grace_period_seconds + 60),
            retry_error_callback=lambda _: None,
        )
        wait(self._read, pod)

    def _read(self, pod: V1Pod) -> V1Pod | None:
        """Return the current state of a pod, or `None` if it no longer exists."""
        try:
            return self.pod_manager.read_pod(pod)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def invoke_defer_method(self, last_log_time: Any = None, context: Any = None) -> None:
        """Leave the worker, and record that only the triggerer waits for the pod."""
        if store := context.get("task_state_store"):
            store.set(_DEFERRED_KEY, value=True)
        super().invoke_defer_method(last_log_time, context)

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> Any:
        """Resume a deferred task whose trigger has fired.

        Raises:
            AirflowTaskTimeout: The task exceeded its `execution_timeout`. Its pod is deleted.
        """
        if store := context.get("task_state_store"):
            store.delete(_DEFERRED_KEY)
        deadline = event.get("_execution_deadline")
        if event["status"] == "timeout" and deadline and time.time() >= deadline:
            self._end_late_pod(event)
        try:
            return super().trigger_reentry(context, event)
        except PodNotFoundException:
            self.failure = pod_gone(event["name"])
            raise

    def _end_late_pod(self, event: dict[str, Any]) -> None:
        """Delete the pod of a task that took too long, unless the pod has succeeded by now."""
        metadata = V1ObjectMeta(name=event["name"], namespace=event["namespace"])
        self.pod = self._read(V1Pod(metadata=metadata))
        if self.pod:
            self._record_end(self.pod)
            if self.exit_code == 0:
                return
            self.on_kill()
            if self.get_logs and self.pod.status.phase != PodPhase.PENDING:
                with suppress(ApiException, HTTPError):
                    self._write_logs(self.pod, follow=True, since_time=event.get("last_log_time"))
        reason = f": {self.failure}" if self.failure else ""
        raise AirflowTaskTimeout(f"The task took longer than {self.execution_timeout}{reason}")

    def delete_found(self, context: Any) -> None:
        """Delete the pod of a task that nothing waits for any longer, if it exists."""
        namespace = self.build_pod_request_obj(context).metadata.namespace
        try:
            self.pod = self.find_pod(namespace, context)
        except (AirflowException, ApiException, HTTPError, KubernetesApiException) as error:
            self.log.warning("The pod of the task could not be looked up to delete it: %s", error)
            return
        self.on_kill()
        if store := context.get("task_state_store"):
            store.delete(_DEFERRED_KEY)

    def on_kill(self) -> None:
        """Delete the pod, if it exists."""
        self._killed = True
        if self.pod:
            try:
                self.pod_manager.delete_pod(self.pod)
            except (ApiException, HTTPError) as error:
                name = self.pod.metadata.name
                self.log.warning("The pod %s could not be deleted: %s", name, error)

    def cleanup(self, pod: V1Pod, remote_pod: V1Pod, *args: Any, **kwargs: Any) -> None:
        """Record how the pod ended before Airflow cleans it up; fail if the pod has failed.

        A pod that still runs is kept: Kubernetes did not answer for a while. If the task is stopped
        or takes too long, `on_kill` is called too.
        """
        if not remote_pod or self._killed:
            return
        ended = self._record_end(remote_pod)
        if ended is None or self.still_runs:
            return
        try:
            super().cleanup(pod, ended, *args, **kwargs)
        finally:
            if self.exit_code in _UNREMARKABLE_CODES:
                self.pod_manager.delete_pod(ended)

    def _write_logs(self, pod: V1Pod, follow: bool = False, since_time: Any = None) -> None:  # type: ignore[override]
        """Write the log of a deferred task's pod in the same form as the log of any other pod."""
        if isinstance(since_time, str):
            since_time = pendulum.parse(since_time)
        self.pod_manager.fetch_container_logs(
            pod,
            self.base_container_name,
            follow=follow,
            since_time=since_time,
            container_name_log_prefix_enabled=False,
        )

    def _record_end(self, pod: V1Pod) -> V1Pod | None:
        """Record how a pod ended. Return its current state, or `None` if it no longer exists."""
        if pod.status.phase not in _FINISHED_PHASES:
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


def _own_failure(pod: V1Pod) -> str | None:
    """Return how Meltano failed in a pod, if it did."""
    if pod.status.phase != PodPhase.FAILED:
        return None
    code, message = container_end(pod)
    summary = RunSummary.from_json(message)
    error = summary.error if summary else None
    return f"it ended with exit code {code}: {error or 'see its log'}"
