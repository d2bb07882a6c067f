"""From the options of a job to the arguments of Airflow's DAG and operators."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pendulum
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.param import ParamsDict

from dag_factory.airflow.alert_mail import AlertedJob
from dag_factory.airflow.alerts import deadline_alert, task_callbacks
from dag_factory.airflow.schedules import dag_schedule, job_asset, pair_asset
from dag_factory.errors import InvalidValueError, guess
from dag_factory.options import times
from dag_factory.options.pod_values import POD_LAUNCH_ARGUMENTS
from dag_factory.planning.plan import DagPlan, TaskPlan
from dag_factory.runners.trigger_form import form

_UNWRITABLE = re.compile(
    r"\w+_callback|(?:pre|post)_execute|dag|task_group|executor_config|default_args|retry_policy"
)
_LONGEST_NAME = 250


@dataclass(frozen=True)
class Holder:
    """The option that an argument stands in.

    Attributes:
        option: `dag`, `operator` or `params`.
        task_id: Whose `operator`.
    """

    option: str
    task_id: str | None = None


class WrongArgumentError(Exception):
    """An option passes on what Airflow does not take.

    Attributes:
        holder: The option.
        argument: What in it is wrong.
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
        WrongArgumentError: The option `dag` holds one that Airflow has not, or that is ours.
    """
    options = plan.options
    start = options.start_date
    ours = {
        "dag_id": plan.dag_id,
        "dag_display_name": _one_line(plan.name)[:_LONGEST_NAME],
        "description": options.description,
        "doc_md": "\n\n".join(filter(None, [options.doc_md, _doc(plan)])),
        "tags": plan.tags,
        "owner_links": dict(options.owner_links),
        "schedule": dag_schedule(plan),
        "start_date": start and _zoned(start, options.timezone),
        "catchup": options.catchup,
        "max_active_runs": 1,
        "is_paused_upon_creation": options.paused,
        "auto_register": False,
    }
    if options.deadline:
        ours["deadline"] = deadline_alert(_alerted(plan), options.deadline, **_audience(plan))
    reserved = {**ours, "deadline": None, "params": None}
    return ours | _passed_on(Holder("dag"), options.dag, DAG, reserved, options.timezone)


def dag_params(plan: DagPlan) -> ParamsDict:
    """Return the fields of a job's trigger form.

    Raises:
        WrongArgumentError: The default of one of its own does not fit its schema, or that is none.
    """
    fields = form(plan)
    for name in plan.options.params:
        try:
            fields[name].resolve()
        except Exception as error:  # noqa: BLE001 - a wrong schema or default, each with its own
            message = f"{name}: {str(error).partition(chr(10))[0]}"
            hint = "correct its default or its schema"
            raise WrongArgumentError(Holder("params"), name, message, hint) from None
    return ParamsDict(fields)


def task_arguments(plan: DagPlan, task: TaskPlan) -> dict[str, Any]:
    """Return the arguments that every operator takes, for one task.

    Raises:
        WrongArgumentError: The option `operator` holds one that Airflow has not, or that is ours.
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
    unset = {"owner": plan.options.owner, "queue": options.queue}
    ours |= {name: value for name, value in unset.items() if value is not None}
    ours |= task_callbacks(_alerted(plan), **_audience(plan))
    holder, zone = Holder("operator", task.task_id), plan.options.timezone
    raw = dict(options.operator)
    # The local runner leaves them alone, so that one `operator` serves every environment.
    launching = {name: raw.pop(name) for name in POD_LAUNCH_ARGUMENTS if name in raw}
    if options.in_pod:
        ours |= _numbers_checked(holder, launching)
    return ours | _passed_on(holder, raw, BaseOperator, ours | unset, zone)


def _numbers_checked(holder: Holder, launching: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of KubernetesPodOperator, whose durations are numbers of seconds."""
    for name, value in launching.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name.endswith(("_seconds", "_interval")) and not is_number:
            message = f"{name}: {value!r} is no number of seconds"
            raise WrongArgumentError(holder, name, message, "write a number, such as 600")
    return launching


def _alerted(plan: DagPlan) -> AlertedJob:
    schedules = (f"{each.name}: {each.cron} {each.timezone}" for each in plan.timed)
    return AlertedJob(plan.job, plan.environment, "; ".join(schedules))


def _audience(plan: DagPlan) -> dict[str, Any]:
    options = plan.options
    return {"email": options.email, "email_on": options.email_on, "notify": options.notify}


def _passed_on(
    holder: Holder,
    given: Mapping[str, Any],
    kind: Callable[..., Any],
    ours: Mapping[str, Any],
    zone: str,
) -> dict[str, Any]:
    """Return raw arguments as Airflow takes them: durations and dates are texts in YAML."""
    if not given:
        return {}
    known = inspect.signature(kind).parameters
    for name in given:
        if _UNWRITABLE.fullmatch(name):
            message = f"{name} cannot be written in YAML"
            hint = "use `notify` to hear of events, or remove it"
            raise WrongArgumentError(holder, name, message, hint)
        if name in ours:
            message = f"{name} is not passed on: it is the factory's own"
            hint = "remove it; there may be an option for it"
            raise WrongArgumentError(holder, name, message, hint)
        if name not in known or known[name].kind is inspect.Parameter.VAR_KEYWORD:
            message = f"Airflow's {kind.__name__} has no argument {name!r}"
            others = POD_LAUNCH_ARGUMENTS if kind is BaseOperator else ()
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
        return _zoned(times.moment(value), zone)
    return value


def _zoned(moment: datetime, zone: str) -> pendulum.DateTime:
    return pendulum.instance(moment, tz=zone)


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def _doc(plan: DagPlan) -> str:
    when = [f"`{each.cron}` ({each.timezone}) by the schedule {each.name}" for each in plan.timed]
    if plan.after:
        when.append(f"after {plan.after}")
    file = f"[{plan.file}]({plan.link})" if plan.link else f"`{plan.file}`"
    doc = f"""
Meltano job **{plan.job}** of {file}, in the environment `{plan.environment}`; runs
{"; ".join(when) or "by hand"}.

By hand: `meltano --environment={plan.environment} run {plan.job}`
"""
    return "\n".join(map(_one_line, doc.split("\n")))
