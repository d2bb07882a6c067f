"""Runs Meltano as a pod of a versioned image: for production."""

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
from dag_factory.runners.outcome import STOPPED, finish_run
from dag_factory.runners.prepare import Prepare, PreparedRun, prepare_run

if TYPE_CHECKING:
    from dag_factory.runners.kubernetes.pod import MeltanoPod

_NO_SUMMARY = (
    "it left no summary: is meltano-task the entrypoint of its image, of the version that Airflow "
    "has of this package?"
)
_UNKNOWN = "Kubernetes could not be asked; if the pod runs, the next try finds it"
# What a program ends with that does not know its arguments, such as an older meltano-task.
_MISUSED = 2
# What Airflow resumes a task with whose trigger has failed.
_TRIGGER_FAILED = "__fail__"
# Nodes are added, and images pulled, while a pod starts.
_LAUNCHING = {
    "startup_timeout_seconds": 600,
    "schedule_timeout_seconds": 600,
    "startup_check_interval_seconds": 2,
}


class MeltanoPodOperator(BaseOperator):
    """Runs one Meltano command as a pod, and fails with what Meltano or Kubernetes said.

    It hands the work to Airflow's KubernetesPodOperator, whose import takes more than a second,
    when the task runs: DAG files are parsed for ever.

    Args:
        prepare: Returns the command and the variables of a run, from Airflow's context.
        template: Returns the pod without them.
        pod_name: What the names of its pods begin with.
        deferrable: Whether the task leaves its worker while the pod runs; `None`: as Airflow's
            `[operators] default_deferrable` says.
        launching: More arguments of Airflow's KubernetesPodOperator.
        **kwargs: Those of every Airflow operator.
    """

    def __init__(
        self,
        *,
        prepare: Prepare,
        template: Callable[[], dict[str, Any]],
        pod_name: str,
        deferrable: bool | None = None,
        launching: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prepare = prepare
        self.template = template
        self.pod_name = pod_name
        self.deferrable = deferrable
        self.launching = launching
        self._pod: MeltanoPod | None = None
        self._stopped = False

    def execute(self, context: Any) -> None:
        """Start the pod, or find the one that a worker before started, and wait for its end.

        Raises:
            AirflowException: What Kubernetes did to the pod; and others, as in `finish_run`.
        """
        run = self.prepare(context)
        pod = self._make_pod(run)
        image = pod.template["spec"]["containers"][0]["image"]
        self.log.info("Running %s in %s", shlex.join(run.argv), image)
        wait = pod.execute_async if pod.deferrable else pod.execute_sync
        self._finish(pod, run, context, partial(wait, context))

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> None:
        """Carry on where the pod is over that a deferred task waited for.

        Raises:
            AirflowException: As in `execute`.
        """
        run = self.prepare(context)
        pod = self._make_pod(run)
        self._finish(pod, run, context, partial(pod.trigger_reentry, context, event))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any
    ) -> Any:
        """Carry on after a deferral; delete the pod where the triggerer could not wait for it."""
        if next_method == _TRIGGER_FAILED:
            self._make_pod(self.prepare(context)).delete_found(context)
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Delete the pod: Meltano and its plugins are told to stop, and have its grace period."""
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
            **{**_LAUNCHING, **self.launching, **deferrable},
        )
        return self._pod

    def _wait(self, pod: MeltanoPod, context: Any, wait: Callable[[], Any]) -> Exception | None:
        """Wait for the end of the pod, and return what went wrong: the pod itself says why."""
        failed = None
        try:
            if not self._stopped:
                wait()
        except TaskDeferred:
            if not self._stopped:
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is
            failed = error
        if self._stopped:
            if pod.pod is None:
                pod.delete_found(context)
            raise AirflowException(STOPPED) from failed
        if timeout := _timeout_behind(failed):
            raise timeout
        return failed

    def _finish(
        self, pod: MeltanoPod, run: PreparedRun, context: Any, wait: Callable[[], Any]
    ) -> None:
        failed = self._wait(pod, context, wait)
        summary = pod.summary
        if failed and not (summary and summary.exit_code == 0):
            self._raise_reason(pod, run, context)
            if isinstance(failed, AirflowException) and pod.pod is None:
                raise failed
            raise AirflowException(f"{_UNKNOWN}: {failed}") from failed
        if summary is None and pod.pod is None:
            self.log.warning("The pod succeeded and is gone: nothing is known of its rows.")
            run = replace(run, expect=None)
        elif summary is None:
            if run.expect:
                raise AirflowFailException(f"Nothing is known of the expected rows: {_NO_SUMMARY}")
            self.log.warning("The pod succeeded, and %s", _NO_SUMMARY)
        finish_run(run, summary or RunSummary(0), self.outlets, context)

    def _raise_reason(self, pod: MeltanoPod, run: PreparedRun, context: Any) -> None:
        """Say why the pod failed, as far as it is known."""
        summary = pod.summary
        if pod.failure:
            last = summary.error if summary else None
            said = f"; the last error in its log: {last}" if last else ""
            raise AirflowException(f"{pod.failure}{said}")
        if summary is None and pod.exit_code:
            returncode = to_returncode(pod.exit_code)
            if pod.exit_code == _MISUSED:
                summary = RunSummary(
                    ExitCode.CONFIG_ERROR, f"Meltano was not started: {_NO_SUMMARY}"
                )
            else:
                summary = RunSummary(returncode, None if returncode < 0 else _NO_SUMMARY)
        if summary is not None and summary.exit_code:
            finish_run(run, summary, self.outlets, context)


def _timeout_behind(error: BaseException | None) -> AirflowTaskTimeout | None:
    """Return the time-out that another error followed, as the pod was looked at once more."""
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
    """Return the operator for one task; call it in its DAG.

    Args:
        plan: Its DAG.
        task: The task.
        arguments: Those of every runner.
        prepare: Returns its command, where that is none of a job.
    """
    known = inspect.signature(BaseOperator).parameters
    launching = {name: value for name, value in arguments.items() if name not in known}
    return MeltanoPodOperator(
        prepare=prepare or partial(prepare_run, plan, task),
        template=partial(pod_template, plan, task),
        pod_name=pod_name(plan, task),
        deferrable=task.options.deferrable,
        launching=launching,
        **{name: value for name, value in arguments.items() if name in known},
    )
