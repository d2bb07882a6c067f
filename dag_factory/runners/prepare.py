"""Prepares one run of a task: its command and its variables.

A task has Airflow's own variables (`AIRFLOW_CTX_DAG_ID`, `..._TASK_ID`, `..._DAG_RUN_ID`,
`..._TRY_NUMBER`, `..._LOGICAL_DATE`), and `AIRFLOW_CTX_DATA_INTERVAL_START` and `_END`. meltano.yml
can use them as `$VAR`. A *tick* is a moment at which the cron expression of a schedule fires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dag_factory.cron import interval_of, previous_tick, served
from dag_factory.options.expectations import Expectation
from dag_factory.planning.plan import (
    DagPlan,
    SchedulePlan,
    TaskKind,
    TaskPlan,
    meltano_command,
)
from dag_factory.planning.secret_names import SecretPlan
from dag_factory.project.entry_shapes import STATE_ID_DELIMITER
from dag_factory.runners.trigger_form import (
    DRY_RUN,
    FULL_REFRESH_VARIABLE,
    NO_STATE_UPDATE_VARIABLE,
    SCHEDULE,
    STATE_ID_SUFFIX_VARIABLE,
    chosen_streams,
    chosen_variables,
    default_variables,
    unknown_field,
)

_BACKFILL = "backfill"
_SCHEDULED_RUN_TYPES = ("scheduled", _BACKFILL)
_INTERVAL_VARIABLE = "AIRFLOW_CTX_DATA_INTERVAL"
_STATE_ID_OPTION = "--state-id="


@dataclass(frozen=True)
class PreparedRun:
    """One run of a task.

    Attributes:
        argv: The command.
        variables: The variables that override the environment of the process that starts it.
        is_dry: Whether the run only shows what would run, so nothing may run after it.
        extractors: The names of the extractors that the command runs.
        expect: The rows that the run must load.
        streams: The streams that were chosen in the trigger form by their full names.
        bookmarked: The state IDs whose bookmarks tell how old the newest rows are.
        digest: The digest of what the task needs from the project.
        sensitive: The names of the variables whose values no log may show.
        secrets: The secrets that the task reads from AWS Secrets Manager when it starts.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    is_dry: bool = False
    extractors: tuple[str, ...] = ()
    expect: Expectation | None = None
    streams: tuple[str, ...] = ()
    bookmarked: tuple[str, ...] = ()
    digest: str = ""
    sensitive: tuple[str, ...] = ()
    secrets: tuple[SecretPlan, ...] = ()


Prepare = Callable[[Mapping[str, Any]], PreparedRun]
"""Returns the run of a task, given Airflow's context of the task instance."""


def prepare_run(plan: DagPlan, task: TaskPlan, context: Mapping[str, Any]) -> PreparedRun:
    """Return the command and the variables of a run.

    A scheduled run has the variables of all schedules that it serves, in the order of meltano.yml.
    A manual run has the variables of the schedule that was chosen in the trigger form.

    A backfill uses its own state ID suffix and saves no bookmark. So it neither changes the
    bookmarks of other runs nor waits for their locks, and each of its runs loads its whole window.

    Args:
        plan: The plan of the DAG.
        task: The plan of the task.
        context: Airflow's context of the task instance.

    Raises:
        AirflowFailException: The run has a value for a field that is not in the trigger form.
    """
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415
    from airflow.sdk.execution_time.context import (  # noqa: PLC0415 - only a running task needs it
        context_to_airflow_vars,
    )

    dag_run, params = context["dag_run"], context.get("params") or {}
    if error := unknown_field(plan, getattr(dag_run, "conf", None) or {}):
        raise AirflowFailException(error)
    schedules = _served_schedules(plan, dag_run, params)
    variables = default_variables(plan)
    for schedule in schedules:
        variables |= schedule.env
    variables |= {
        **context_to_airflow_vars(context, in_env_var_format=True),
        **_run_variables(task, schedules, dag_run, chosen_variables(plan, params)),
        **job_trigger(dag_run),
        "MELTANO_RUN_ID": str(context["ti"].id),
    }
    if params.get(DRY_RUN) is True:
        return PreparedRun(
            _dry_run_command(plan),
            variables,
            is_dry=True,
            sensitive=task.sensitive,
            secrets=secrets_to_read(task),
        )
    extractors = tuple(each.name for each in task.extractors)
    argv, expect = task.argv, task.options.expect
    if dag_run.run_type == _BACKFILL:
        argv, expect = _backfill_command(task, variables), None
    return PreparedRun(
        argv,
        variables,
        extractors=extractors,
        expect=expect,
        streams=tuple(chosen_streams(task, params)),
        bookmarked=_written_state_ids(task, variables) if expect and expect.of_age else (),
        digest=task.digest,
        sensitive=task.sensitive,
        secrets=secrets_to_read(task),
    )


def secrets_to_read(task: TaskPlan) -> tuple[SecretPlan, ...]:
    """Return the secrets that a task reads from AWS: none if Kubernetes gives them to the pod."""
    return () if task.options.given_secrets else task.secrets


def job_trigger(dag_run: Any) -> dict[str, str]:
    """Return the variable that makes Meltano's run table name the DAG run."""
    return {"MELTANO_JOB_TRIGGER": f"airflow:{dag_run.dag_id}/{dag_run.run_id}"}


def _written_state_ids(task: TaskPlan, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the state IDs that a run writes, with its suffix if it has one."""
    if NO_STATE_UPDATE_VARIABLE in variables:
        return ()
    suffix = variables.get(STATE_ID_SUFFIX_VARIABLE)
    if not suffix or task.kind is TaskKind.ELT:
        return task.state_ids
    parts = (each.split(STATE_ID_DELIMITER) for each in task.state_ids)
    return tuple(STATE_ID_DELIMITER.join([*each[:2], suffix]) for each in parts)


def _run_variables(
    task: TaskPlan, schedules: tuple[SchedulePlan, ...], dag_run: Any, chosen: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of the trigger form, of the interval, and of a backfill."""
    is_backfill = dag_run.run_type == _BACKFILL
    variables = {STATE_ID_SUFFIX_VARIABLE: _BACKFILL} if is_backfill else {}
    variables |= chosen
    if is_backfill:
        variables[NO_STATE_UPDATE_VARIABLE] = "true"
    if interval := _interval(schedules, dag_run):
        start, end = map(_utc_text, interval)
        variables |= {f"{_INTERVAL_VARIABLE}_START": start, f"{_INTERVAL_VARIABLE}_END": end}
        variables |= dict(_window_variables(task, start, end)) if is_backfill else {}
    return variables


def _backfill_command(task: TaskPlan, variables: dict[str, str]) -> tuple[str, ...]:
    """Return the command of a backfill.

    `meltano elt` does not read the variables for state. So its state ID is changed in the command,
    and `variables` gets a full refresh.
    """
    if task.kind is not TaskKind.ELT:
        return task.argv
    variables[FULL_REFRESH_VARIABLE] = "true"
    arguments = (
        f"{each}.{_BACKFILL}" if each.startswith(_STATE_ID_OPTION) else each
        for each in task.arguments
    )
    return replace(task, arguments=tuple(arguments)).argv


def _dry_run_command(plan: DagPlan) -> tuple[str, ...]:
    """Return the command that shows what the whole job would run; all its tasks are skipped."""
    blocks = (block for task in plan.tasks for block in task.blocks)
    return meltano_command(TaskKind.RUN, "--dry-run", *blocks)


def _served_schedules(
    plan: DagPlan, dag_run: Any, params: Mapping[str, Any]
) -> tuple[SchedulePlan, ...]:
    if dag_run.run_type in _SCHEDULED_RUN_TYPES and dag_run.data_interval_end:
        found = served(plan.timed, dag_run.data_interval_start, dag_run.data_interval_end)
        # A schedule that was edited since the tick no longer has it.
        return found or (plan.timed if plan.is_uniform else ())
    return tuple(each for each in plan.schedules if each.name == params.get(SCHEDULE))


def _interval(
    schedules: tuple[SchedulePlan, ...], dag_run: Any
) -> tuple[datetime, datetime] | None:
    """Return the period since the previous tick of the schedules that a run serves."""
    if not schedules or dag_run.run_type not in _SCHEDULED_RUN_TYPES:
        return None
    start, end = interval_of(schedules, dag_run.data_interval_start, dag_run.data_interval_end)
    if start == end:
        start = max(previous_tick(each.cron or "", each.timezone, end) for each in schedules)
    return start, end


def _utc_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _window_variables(task: TaskPlan, start: str, end: str) -> Iterator[tuple[str, str]]:
    """Yield the settings with which extractors load no more than the window of a backfill."""
    for extractor in task.extractors:
        for variable, time in ((extractor.start, start), (extractor.end, end)):
            if variable:
                yield variable, time
