"""What one run of a task gets: its command, and its variables.

Tasks find Airflow's own variables (`AIRFLOW_CTX_DAG_ID`, `..._TASK_ID`, `..._DAG_RUN_ID`,
`..._TRY_NUMBER`, `..._LOGICAL_DATE`) and two more, `AIRFLOW_CTX_DATA_INTERVAL_START` and `_END`,
which meltano.yml can use as `$VAR`.
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
    SCHEDULE,
    chosen_streams,
    chosen_variables,
    default_variables,
    unknown_field,
)

_BACKFILL = "backfill"
_SCHEDULED = ("scheduled", _BACKFILL)
_INTERVAL = "AIRFLOW_CTX_DATA_INTERVAL"
_STATE_ID = "--state-id="
_STATE_SUFFIX = "MELTANO_RUN_STATE_ID_SUFFIX"
_NO_STATE_UPDATE = "MELTANO_RUN_NO_STATE_UPDATE"


@dataclass(frozen=True)
class PreparedRun:
    """One run of a task.

    Attributes:
        argv: The command.
        variables: What it gets beside the variables of the process that starts it.
        is_dry: Whether it only explains itself, so that nobody is to run after it.
        extractors: The names of those that it runs.
        expect: What it is to load.
        streams: Those that were chosen by their whole names.
        bookmarked: The state IDs whose bookmarks tell how old its newest rows are.
        digest: Of what the task needs of the project.
        sensitive: The variables whose values no log may show.
        secrets: What it reads of AWS Secrets Manager when it starts.
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
"""Returns what a task runs, from Airflow's context of the task instance."""


def prepare_run(plan: DagPlan, task: TaskPlan, context: Mapping[str, Any]) -> PreparedRun:
    """Return what a task runs, and with which variables.

    The variables of schedules are those of the schedules that the run serves, in the order of
    meltano.yml; of a run by hand, those of the schedule that was chosen in the trigger form.

    A backfill has a state ID suffix of its own and leaves no bookmark, so that it neither moves
    nor waits for those of the daily run, and each of its runs loads its window from the start.

    Args:
        plan: The job.
        task: The task.
        context: Airflow's, of the task instance.

    Raises:
        AirflowFailException: The run was given a value for a field that the form has not.
    """
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415
    from airflow.sdk.execution_time.context import (  # noqa: PLC0415 - in a task, it is there
        context_to_airflow_vars,
    )

    dag_run, params = context["dag_run"], context.get("params") or {}
    if wrong := unknown_field(plan, getattr(dag_run, "conf", None) or {}):
        raise AirflowFailException(wrong)
    serving = _serving(plan, dag_run, params)
    variables = default_variables(plan)
    for schedule in serving:
        variables |= schedule.env
    variables |= {
        **context_to_airflow_vars(context, in_env_var_format=True),
        **_of_run(task, serving, dag_run, chosen_variables(plan, params)),
        "MELTANO_JOB_TRIGGER": f"airflow:{dag_run.dag_id}/{dag_run.run_id}",
        "MELTANO_RUN_ID": str(context["ti"].id),
    }
    if params.get(DRY_RUN) is True:
        return PreparedRun(
            _dry_run(plan),
            variables,
            is_dry=True,
            sensitive=task.sensitive,
            secrets=secrets_to_read(task),
        )
    extractors = tuple(each.name for each in task.extractors)
    argv, expect = task.argv, task.options.expect
    if dag_run.run_type == _BACKFILL:
        argv, expect = _backfilling(task, variables), None
    return PreparedRun(
        argv,
        variables,
        extractors=extractors,
        expect=expect,
        streams=tuple(chosen_streams(task, params)),
        bookmarked=_bookmarked(task, variables) if expect and expect.of_age else (),
        digest=task.digest,
        sensitive=task.sensitive,
        secrets=secrets_to_read(task),
    )


def secrets_to_read(task: TaskPlan) -> tuple[SecretPlan, ...]:
    """Return what a task reads of AWS Secrets Manager: nothing where Kubernetes hands it over."""
    return () if task.options.given_secrets else task.secrets


def _bookmarked(task: TaskPlan, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the state IDs that a run writes: with the suffix that it was given, if any."""
    if _NO_STATE_UPDATE in variables:
        return ()
    suffix = variables.get(_STATE_SUFFIX)
    if not suffix or task.kind is TaskKind.ELT:
        return task.state_ids
    parts = (each.split(STATE_ID_DELIMITER) for each in task.state_ids)
    return tuple(STATE_ID_DELIMITER.join([*each[:2], suffix]) for each in parts)


def _of_run(
    task: TaskPlan, serving: tuple[SchedulePlan, ...], dag_run: Any, chosen: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of the interval and of the form, and those of a backfill."""
    is_backfill = dag_run.run_type == _BACKFILL
    variables = {_STATE_SUFFIX: _BACKFILL} if is_backfill else {}
    variables |= chosen
    if is_backfill:
        variables[_NO_STATE_UPDATE] = "true"
    if interval := _interval(serving, dag_run):
        start, end = map(_moment, interval)
        variables |= {f"{_INTERVAL}_START": start, f"{_INTERVAL}_END": end}
        variables |= dict(_window(task, start, end)) if is_backfill else {}
    return variables


def _backfilling(task: TaskPlan, variables: dict[str, str]) -> tuple[str, ...]:
    """Return the command of a backfill; `meltano elt` reads none of the variables for state."""
    if task.kind is not TaskKind.ELT:
        return task.argv
    variables["MELTANO_RUN_FULL_REFRESH"] = "true"
    arguments = (
        f"{each}.{_BACKFILL}" if each.startswith(_STATE_ID) else each for each in task.arguments
    )
    return replace(task, arguments=tuple(arguments)).argv


def _dry_run(plan: DagPlan) -> tuple[str, ...]:
    """Return the command that explains the whole job, whose tasks will all be skipped."""
    blocks = (block for task in plan.tasks for block in task.blocks)
    return meltano_command(TaskKind.RUN, "--dry-run", *blocks)


def _serving(plan: DagPlan, dag_run: Any, params: Mapping[str, Any]) -> tuple[SchedulePlan, ...]:
    if dag_run.run_type in _SCHEDULED and dag_run.data_interval_end:
        found = served(plan.timed, dag_run.data_interval_start, dag_run.data_interval_end)
        # A tick of a schedule that has been edited since is none of its ticks.
        return found or (plan.timed if plan.is_uniform else ())
    return tuple(each for each in plan.schedules if each.name == params.get(SCHEDULE))


def _interval(serving: tuple[SchedulePlan, ...], dag_run: Any) -> tuple[datetime, datetime] | None:
    """Return the period since the previous tick of the schedules that a run serves."""
    if not serving or dag_run.run_type not in _SCHEDULED:
        return None
    start, end = interval_of(serving, dag_run.data_interval_start, dag_run.data_interval_end)
    if start == end:
        start = max(previous_tick(each.cron or "", each.timezone, end) for each in serving)
    return start, end


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _window(task: TaskPlan, start: str, end: str) -> Iterator[tuple[str, str]]:
    for extractor in task.extractors:
        for variable, moment in ((extractor.start, start), (extractor.end, end)):
            if variable:
                yield variable, moment
