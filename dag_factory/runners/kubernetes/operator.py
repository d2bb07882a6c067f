"""Runs Meltano in a pod of a versioned image: for production."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferred,
)

from dag_factory.exit_codes import ExitCode, to_returncode
from dag_factory.meltano_process.result import RunSummary
from dag_factory.planning.plan import DagPlan, TaskPlan
from dag_factory.runners.kubernetes.pod_spec import pod_name, pod_of_run, pod_template
from dag_factory.runners.outcome import STOPPED_MESSAGE, finish_run
from dag_factory.runners.prepare import Prepare, PreparedRun, prepare_run

if TYPE_CHECKING:
    from dag_factory.runners.kubernetes.pod import MeltanoPod

_NO_SUMMARY = (
    "the pod wrote no summary; the entrypoint of its image must be meltano-task, from the version "
    "of meltano-dag-factory that Airflow uses"
)
_UNREACHABLE = "Kubernetes did not answer; if the pod still runs, the next attempt will find it"
# A program ends with this code if it does not know its arguments, such as an older meltano-task.
_USAGE_ERROR = 2
# Airflow calls this method of a deferred task whose trigger has failed.
_TRIGGER_FAILED = "__fail__"
# While a pod starts, a node may have to be added and an image pulled.
_STARTUP_ARGUMENTS = {
    "startup_timeout_seconds": 600,
    "schedule_timeout_seconds": 600,
    "startup_check_interval_seconds": 2,
}


class MeltanoPodOperator(BaseOperator):
    """Runs one Meltano command in a pod, and fails with the reason of Meltano or Kubernetes.

    Airflow's KubernetesPodOperator does the work. Importing it takes more than a second, so it is
    imported only when the task runs, and not each time that Airflow parses the DAG file.

    Args:
        prepare: Returns the command and the variables of a run, given Airflow's context.
        template: Returns the pod without the command and variables of a run.
        pod_name: The beginning of the names of the task's pods.
        deferrable: Whether the task leaves its worker while the pod runs. `None` means Airflow's
            `[operators] default_deferrable`.
        pod_operator_arguments: More arguments of Airflow's KubernetesPodOperator.
        **kwargs: The arguments of every Airflow operator.
    """

    def __init__(
        self,
        *,
        prepare: Prepare,
        template: Callable[[], dict[str, Any]],
        pod_name: str,
        deferrable: bool | None = None,
        pod_operator_arguments: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prepare = prepare
        self.template = template
        self.pod_name = pod_name
        self.deferrable = deferrable
        self.pod_operator_arguments = pod_operator_arguments
        self._pod: MeltanoPod | None = None
        self._stopped = False

    def execute(self, context: Any) -> None:
        """Start the pod, or find the pod that an earlier worker started, and wait until it ends.

        Raises:
            AirflowException: Kubernetes rejected or stopped the pod; `finish_run` lists the other
                exceptions.
        """
        run = self.prepare(context)
        pod = self._make_pod(run)
        image = pod.template["spec"]["containers"][0]["image"]
        self.log.info("Running %s in %s", shlex.join(run.argv), image)
        wait = pod.execute_async if pod.deferrable else pod.execute_sync
        self._finish(pod, run, context, partial(wait, context))

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> None:
        """Finish a deferred task whose pod has ended.

        Raises:
            AirflowException: As in `execute`.
        """
        run = self.prepare(context)
        pod = self._make_pod(run)
        self._finish(pod, run, context, partial(pod.trigger_reentry, context, event))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any
    ) -> Any:
        """Resume a deferred task; delete the pod if the triggerer failed to wait for it."""
        if next_method == _TRIGGER_FAILED:
            self._make_pod(self.prepare(context)).delete_found(context)
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Delete the pod; Meltano and its plugins have its grace period to stop."""
        self._stopped = True
        if self._pod is not None:
            self._pod.on_kill()

    def _make_pod(self, run: PreparedRun) -> MeltanoPod:
        from dag_factory.runners.kubernetes.pod import MeltanoPod  # noqa: PLC0415 - takes over a second

        deferrable = {} if self.deferrable is None else {"deferrable": self.deferrable}
        self._pod = MeltanoPod(
            task_id=self.task_id,
            name=self.pod_name,
            template=pod_of_run(self.template(), run),
            execution_timeout=self.execution_timeout,
            **{**_STARTUP_ARGUMENTS, **self.pod_operator_arguments, **deferrable},
        )
        return self._pod

    def _wait(self, pod: MeltanoPod, context: Any, wait: Callable[[], Any]) -> Exception | None:
        """Wait until the pod ends, and return the error that ended the wait, if any."""
        error = None
        try:
            if not self._stopped:
                wait()
        except TaskDeferred:
            if not self._stopped:
                raise
        except Exception as raised:  # noqa: BLE001 - the pod itself says what failed
            error = raised
        if self._stopped:
            if pod.pod is None:
                pod.delete_found(context)
            raise AirflowException(STOPPED_MESSAGE) from error
        if timeout := _causing_timeout(error):
            raise timeout
        return error

    def _finish(
        self, pod: MeltanoPod, run: PreparedRun, context: Any, wait: Callable[[], Any]
    ) -> None:
        error = self._wait(pod, context, wait)
        summary = pod.summary
        if error and not (summary and summary.exit_code == 0):
            self._raise_reason(pod, run, context)
            if isinstance(error, AirflowException) and pod.pod is None:
                raise error
            raise AirflowException(f"{_UNREACHABLE}: {error}") from error
        if summary is None and pod.pod is None:
            self.log.warning("The pod succeeded and was deleted: its rows are not known.")
            run = replace(run, expect=None)
        elif summary is None:
            if run.expect:
                raise AirflowFailException(f"Expected rows cannot be checked: {_NO_SUMMARY}")
            self.log.warning("Meltano succeeded, but %s", _NO_SUMMARY)
        finish_run(run, summary or RunSummary(0), self.outlets, context)

    def _raise_reason(self, pod: MeltanoPod, run: PreparedRun, context: Any) -> None:
        """Raise the reason why the pod failed, if it is known."""
        summary = pod.summary
        if pod.failure:
            last_error = summary.error if summary else None
            details = f"; the last error in its log: {last_error}" if last_error else ""
            raise AirflowException(f"{pod.failure}{details}")
        if summary is None and pod.exit_code:
            returncode = to_returncode(pod.exit_code)
            if pod.exit_code == _USAGE_ERROR:
                summary = RunSummary(
                    ExitCode.CONFIG_ERROR, f"Meltano was not started: {_NO_SUMMARY}"
                )
            else:
                summary = RunSummary(returncode, None if returncode < 0 else _NO_SUMMARY)
        if summary is not None and summary.exit_code:
            finish_run(run, summary, self.outlets, context)


def _causing_timeout(error: BaseException | None) -> AirflowTaskTimeout | None:
    """Return the timeout during whose handling another error was raised."""
    while error:
        if isinstance(error, AirflowTaskTimeout):
            return error
        error = error.__context__
    return None


def make_task(
    plan: DagPlan,
    task: TaskPlan,
    arguments: Mapping[str, Any],
    prepare: Prepare | None = None,
) -> MeltanoPodOperator:
    """Return the operator of one task; call it within the task's DAG.

    Args:
        plan: The plan of the DAG.
        task: The plan of the task.
        arguments: The arguments of every Airflow operator, and of KubernetesPodOperator.
        prepare: Returns the command of a task that does not belong to a job.
    """
    common = inspect.signature(BaseOperator).parameters
    return MeltanoPodOperator(
        prepare=prepare or partial(prepare_run, plan, task),
        template=partial(pod_template, plan, task),
        pod_name=pod_name(plan, task),
        deferrable=task.options.deferrable,
        pod_operator_arguments={
            name: value for name, value in arguments.items() if name not in common
        },
        **{name: value for name, value in arguments.items() if name in common},
    )
