"""What `meltano-dags list` and `show` print, and what Meltano's own two listings would print."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dag_factory.cron import next_runs
from dag_factory.errors import shown
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.times import written_duration
from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planned_project import OptionSources
from dag_factory.project.model import Job, Project, Schedule
from dag_factory.project.option_precedence import Sources

_NEXT_RUNS = 5
_NO_ROOT = Path()


def meltano_listing(project: Project | None) -> dict[str, Any]:
    """Return the output of `meltano job list` and `meltano schedule list` (`--format=json`).

    A schedule whose job does not exist is left out: Meltano's listing fails because of it. The time
    of the last successful run, which Meltano reads from its system database, is always null.
    """
    jobs, schedules = (project.jobs, project.schedules) if project else ((), ())
    by_name = {_hashable(job.name): job for job in reversed(jobs)}
    listed: dict[str, Any] = {
        "jobs": [{"job_name": job.name, "tasks": job.tasks} for job in jobs],
        "schedules": {
            "job": [
                _job_schedule(each, by_name[_hashable(each.job)])
                for each in schedules
                if each.job is not None and _hashable(each.job) in by_name
            ],
            "elt": [_elt_schedule(each) for each in schedules if each.job is None],
        },
    }
    return dict(_jsonable(listed))


def _jsonable(value: Any) -> Any:
    """Return a value that JSON can hold; Meltano's own listings fail if it cannot."""
    if isinstance(value, dict):
        keys = (str, int, float, bool, type(None))
        return {
            key if isinstance(key, keys) else str(key): _jsonable(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _hashable(name: Any) -> Any:
    return repr(name) if isinstance(name, list | dict) else name


def _job_schedule(schedule: Schedule, job: Job) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "interval": schedule.interval,
        "cron_interval": schedule.cron_interval,
        "env": schedule.env,
        "job": {"name": job.name, "tasks": job.tasks},
    }


def _elt_schedule(schedule: Schedule) -> dict[str, Any]:
    extractor, loader, _, _ = schedule.elt_args
    return {
        "name": schedule.name,
        "extractor": extractor,
        "loader": loader,
        "transform": schedule.entry["transform"],
        "interval": schedule.interval,
        "env": schedule.env,
        "cron_interval": schedule.cron_interval,
        "last_successful_run_ended_at": None,
        "elt_args": list(schedule.elt_args),
    }


def dag_rows(plans: Iterable[DagPlan]) -> list[dict[str, Any]]:
    """Return the DAGs as data, as `meltano-dags list --format json` prints them."""
    return [
        {
            "dag_id": plan.dag_id,
            "job": plan.job,
            "schedules": [asdict(schedule) for schedule in plan.schedules],
            "after": asdict(plan.after) if plan.after else None,
            "tasks": [
                {"task_id": task.task_id, "argv": task.argv, "upstream": task.upstream}
                for task in plan.tasks
            ],
            "file": plan.file,
            "line": plan.line,
        }
        for plan in plans
    ]


def dag_table(plans: Iterable[DagPlan]) -> str:
    """Return the DAGs as text: when they run, and their commands."""
    lines = []
    for plan in plans:
        lines.append(f"{plan.dag_id}  ({plan.start})")
        lines += [f"    {shlex.join(task.argv)}" for task in plan.tasks]
    return "\n".join(lines)


def describe_dag(
    plan: DagPlan,
    now: datetime,
    why: OptionSources | None = None,
    root: Path = _NO_ROOT,
    image: str | None = None,
) -> str:
    """Return everything that is known of one DAG.

    Args:
        plan: The DAG.
        now: The time from which its next five runs are counted.
        why: Where each option of the DAG and of its tasks is set. If given, all options are listed,
            with their places.
        root: The folder of the project; places are relative to it.
        image: The value of `MELTANO_IMAGE`, which overrides the option `image` of pods.
    """
    lines = [
        f"{plan.job}  ({plan.file}:{plan.line})",
        f"  DAG            {plan.dag_id}",
        f"  environment    {plan.environment}",
    ]
    lines += _options(plan.options, why.of_dag if why else None, "  ", root)
    for schedule in plan.schedules:
        when = f"{schedule.cron} ({schedule.timezone})" if schedule.cron else "by hand"
        names = f"  env: {', '.join(schedule.env)}" if schedule.env else ""
        lines.append(f"  schedule       {schedule.name}: {when}{names}")
    lines += [f"  next run       {when}" for when in _next_runs(plan, now)]
    for task in plan.tasks:
        lines += [f"  task           {task.task_id}", f"    command      {shlex.join(task.argv)}"]
        lines += [f"    after        {each}" for each in task.upstream]
        lines += [f"    state ID     {each}" for each in task.state_ids]
        lines += [f"    secret       {' or '.join(map(str, each.names))}" for each in task.secrets]
        lines += [f"    sensitive    ${each}" for each in task.sensitive]
        lines += [f"    digest       {task.digest}"] if task.digest else []
        by_variable = {"image": "MELTANO_IMAGE"} if image and task.options.in_pod else {}
        of_task = why.of_tasks.get(task.task_id) if why else None
        lines += _options(task.options, of_task, "    ", root, by_variable)
    return "\n".join(lines)


def _options(
    options: DagOptions | TaskOptions,
    sources: Sources | None,
    indent: str,
    root: Path,
    by_variable: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Yield the options that differ from the built-in values; with `sources`, all options."""
    built_in = type(options)()
    width = 14 if sources is None else 27
    for each in fields(options):
        value = getattr(options, each.name)
        if sources is None and value == getattr(built_in, each.name):
            continue
        places = ", ".join(place.text(root) for place in (sources or {}).get(each.name, ()))
        origin = by_variable.get(each.name) or places or "built in"
        place = "" if sources is None else f"  ({origin})"
        yield f"{indent}{each.name:<{width}} {_as_text(value)}{place}"


def _as_text(value: Any) -> str:
    """Return a value as a person would write it in YAML, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_as_nested_text(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_as_nested_text, value)) or "none"
    if isinstance(value, timedelta):
        return written_duration(value)
    if value is None or isinstance(value, bool):
        return shown(value).replace("null", "none")
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())


def _as_nested_text(value: Any) -> str:
    text = _as_text(value)
    if isinstance(value, Mapping):
        return f"{{{text}}}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{text}]" if value else "[]"
    return text


def _next_runs(plan: DagPlan, now: datetime) -> list[str]:
    times = {
        time.astimezone(UTC): time
        for schedule in plan.schedules
        if schedule.cron
        for time in next_runs(schedule.cron, schedule.timezone, now, _NEXT_RUNS)
    }
    return [times[each].strftime("%a %d %b %Y %H:%M %Z") for each in sorted(times)[:_NEXT_RUNS]]
