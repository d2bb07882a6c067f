"""Turns the options of a job into the arguments of Airflow's DAG and operators.

The DAG processor runs this module, and so does a worker to build the DAG of its task.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pendulum
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.param import ParamsDict

from dag_factory.airflow.alert_mail import AlertedJob, printable
from dag_factory.airflow.alerts import deadline_alert, task_callbacks
from dag_factory.airflow.schedules import dag_schedule, job_asset, pair_asset
from dag_factory.errors import InvalidValueError, guess
from dag_factory.options import times
from dag_factory.options.pod_values import POD_LAUNCH_ARGUMENTS
from dag_factory.planning.plan import DagPlan, TaskKind, TaskPlan
from dag_factory.runners.trigger_form import form

_PYTHON_ONLY = re.compile(
    r"\w+_callback|(?:pre|post)_execute|dag|task_group|executor_config|default_args|retry_policy"
)
_DISPLAY_NAME_LENGTH = 250


@dataclass(frozen=True)
class Holder:
    """The option that contains an argument.

    Attributes:
        option: `dag`, `operator` or `params`.
        task_id: The task, if the option is `operator`.
    """

    option: str
    task_id: str | None = None


class WrongArgumentError(Exception):
    """An option contains an argument that Airflow would reject, or that cannot be overridden.

    Attributes:
        holder: The option that contains the argument.
        argument: The name of the argument.
        hint: What to do.
    """

    def __init__(self, holder: Holder, argument: str, message: str, hint: str) -> None:
        super().__init__(f"{holder.option}: {message}")
        self.holder = holder
        self.argument = argument
        self.hint = hint


def dag_arguments(plan: DagPlan) -> dict[str, Any]:
    """Return the arguments of a job's DAG.

    Raises:
        WrongArgumentError: An argument in the option `dag` is unknown, invalid or reserved.
    """
    options = plan.options
    start = options.start_date
    ours = {
        "dag_id": plan.dag_id,
        "dag_display_name": printable(plan.name)[:_DISPLAY_NAME_LENGTH],
        "description": options.description,
        "doc_md": "\n\n".join(filter(None, [options.doc_md, _description(plan)])),
        "tags": plan.tags,
        "owner_links": dict(options.owner_links),
        "schedule": dag_schedule(plan),
        "start_date": start and _in_timezone(start, options.timezone),
        "catchup": options.catchup,
        "max_active_runs": 1,
        "is_paused_upon_creation": options.paused,
        "auto_register": False,
        "deadline": deadline_alert(_alerted_job(plan), options),
    }
    reserved = {*ours, "params"}
    return ours | _raw_arguments(Holder("dag"), options.dag, DAG, reserved, options.timezone)


def dag_params(plan: DagPlan) -> ParamsDict:
    """Return the fields of a job's trigger form.

    Raises:
        WrongArgumentError: A field in the option `params` has an invalid schema, or a default that
            does not match it.
    """
    fields = form(plan)
    for name in plan.options.params:
        try:
            fields[name].resolve()
        except Exception as error:  # noqa: BLE001 - wrong schemas and defaults raise many errors
            message = f"{name}: {str(error).partition(chr(10))[0]}"
            hint = "correct the default or the schema of the field"
            raise WrongArgumentError(Holder("params"), name, message, hint) from None
    return ParamsDict(fields)


def task_arguments(plan: DagPlan, task: TaskPlan) -> dict[str, Any]:
    """Return the arguments of a task that do not depend on its runner.

    Raises:
        WrongArgumentError: An argument in the option `operator` is unknown, invalid or reserved.
    """
    options = task.options
    at_end = [job_asset(plan.dag_id)] if plan.last == (task.task_id,) else []
    ours = {
        "task_id": task.task_id,
        "doc_md": f"`{shlex.join(task.argv)}`",
        "outlets": [*map(pair_asset, task.assets), *at_end],
        "retries": options.retries,
        "retry_delay": options.retry_delay,
        "retry_exponential_backoff": options.retry_exponential_backoff,
        "max_retry_delay": options.max_retry_delay,
        "execution_timeout": options.execution_timeout,
        "pool": options.pool,
        "pool_slots": options.pool_slots,
        "priority_weight": options.priority_weight,
        "weight_rule": options.weight_rule,
        "max_active_tis_per_dag": 1,
    }
    optional = {"owner": plan.options.owner, "queue": options.queue}
    ours |= {name: value for name, value in optional.items() if value is not None}
    ours |= task_callbacks(_alerted_job(plan), plan.options)
    holder, zone = Holder("operator", task.task_id), plan.options.timezone
    raw = dict(options.operator)
    # The local runner ignores the arguments for pods, so that one `operator` can serve every
    # environment.
    for_pods = {name: raw.pop(name) for name in POD_LAUNCH_ARGUMENTS if name in raw}
    if options.in_pod:
        _check_seconds(holder, for_pods)
        ours |= for_pods
    return ours | _raw_arguments(holder, raw, BaseOperator, {*ours, *optional}, zone)


def _check_seconds(holder: Holder, for_pods: Mapping[str, Any]) -> None:
    """Reject durations of KubernetesPodOperator that are not numbers of seconds."""
    for name, value in for_pods.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name.endswith(("_seconds", "_interval")) and not is_number:
            message = f"{name}: {value!r} is not a number of seconds"
            raise WrongArgumentError(holder, name, message, "write a number, such as 600")


def _alerted_job(plan: DagPlan) -> AlertedJob:
    schedules = (f"{each.name}: {each.cron} {each.timezone}" for each in plan.timed)
    return AlertedJob(plan.job, plan.environment, "; ".join(schedules))


def _raw_arguments(
    holder: Holder,
    given: Mapping[str, Any],
    receiver: Callable[..., Any],
    reserved: Collection[str],
    zone: str,
) -> dict[str, Any]:
    """Return the raw arguments of an option, with durations and dates as Airflow expects them."""
    if not given:
        return {}
    known = inspect.signature(receiver).parameters
    for name in given:
        if _PYTHON_ONLY.fullmatch(name):
            message = f"{name} cannot be set in YAML"
            hint = "remove it; use `notify` to be notified of events"
            raise WrongArgumentError(holder, name, message, hint)
        if name in reserved:
            message = f"{name} is set by the DAG factory and cannot be overridden here"
            hint = "remove it, or use the option for it if one exists"
            raise WrongArgumentError(holder, name, message, hint)
        if name not in known or known[name].kind is inspect.Parameter.VAR_KEYWORD:
            message = f"Airflow's {receiver.__name__} has no argument {name!r}"
            others = POD_LAUNCH_ARGUMENTS if receiver is BaseOperator else ()
            hint = guess(name, [*known, *others], "remove it")
            raise WrongArgumentError(holder, name, message, hint)
    converted = {}
    for name, value in given.items():
        try:
            converted[name] = _converted(value, str(known[name].annotation), zone)
        except InvalidValueError as error:
            message = f"{name} {error.reason}"
            raise WrongArgumentError(holder, name, message, error.hint or "correct it") from None
    return converted


def _converted(value: Any, annotation: str, zone: str) -> Any:
    if isinstance(value, str) and "timedelta" in annotation:
        return times.duration(value)
    if isinstance(value, str) and "datetime" in annotation:
        return _in_timezone(times.moment(value), zone)
    return value


def _in_timezone(time: datetime, zone: str) -> pendulum.DateTime:
    """Return a time with a time zone; one that has its own keeps it."""
    return pendulum.instance(time, tz=zone)


def _description(plan: DagPlan) -> str:
    """Return a DAG's documentation in the UI: which job it runs, and when."""
    starts = [f"`{each.cron}` ({each.timezone}, schedule {each.name})" for each in plan.timed]
    if plan.after:
        starts.append(f"after {plan.after}")
    file = f"[{plan.file}]({plan.link})" if plan.link else f"`{plan.file}`"
    command = "schedule run" if plan.tasks[0].kind is TaskKind.ELT else "run"
    doc = f"""
Meltano job **{plan.job}** from {file}, in the environment `{plan.environment}`.

Starts: {"; ".join(starts) or "only manually"}.

On the command line: `meltano --environment={plan.environment} {command} {plan.job}`
"""
    return "\n".join(map(printable, doc.split("\n")))
