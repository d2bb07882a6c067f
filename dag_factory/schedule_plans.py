"""Which schedules can fire, and when."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dag_factory.errors import Code, Problem, guess, shown
from dag_factory.intervals import INTERVALS, SIX_FIELDS, wrong_cron
from dag_factory.options import layer
from dag_factory.plan import SchedulePlan
from dag_factory.project import Job, Schedule

_OptionLevels = Iterable[Mapping[str, Any]]


def runs_in(environment: str, options: Mapping[str, Any]) -> bool:
    """Return whether the `environments` option of a job or schedule allows an environment."""
    return environment in options.get("environments", (environment,))


def plan_schedules(
    schedules: Iterable[Schedule],
    jobs: Mapping[str, Job],
    defaults: Mapping[str, Any],
    environment: str,
) -> tuple[dict[str, list[SchedulePlan]], set[str], tuple[Problem, ...]]:
    """Plan the schedules of jobs.

    Args:
        schedules: Those to plan.
        jobs: The jobs by their names.
        defaults: The options of the whole project.
        environment: The Meltano environment; schedules for others are passed over.

    Returns:
        The schedules of each job, the jobs whose schedules conflict, and what is wrong.
    """
    planned: dict[str, list[SchedulePlan]] = {}
    conflicting: set[str] = set()
    problems: list[Problem] = []
    for schedule in schedules:
        job = jobs.get(schedule.job) if isinstance(schedule.job, str) else None
        if job is None:
            problems.append(_unknown_job(schedule, jobs))
            continue
        plan, wrong = plan_schedule(schedule, [defaults, job.options or {}])
        problems.extend(wrong)
        if plan is None or not runs_in(environment, schedule.options or {}):
            continue
        others = planned.setdefault(job.name, [])
        conflict = _conflict(schedule, plan, others)
        if conflict:
            conflicting.add(job.name)
            problems.append(conflict)
        others.append(plan)
    return planned, conflicting, tuple(problems)


def plan_schedule(
    schedule: Schedule, levels: _OptionLevels
) -> tuple[SchedulePlan | None, tuple[Problem, ...]]:
    """Plan one schedule.

    Args:
        schedule: The schedule.
        levels: The options below its own.

    Returns:
        Its plan, or what is wrong with it. Wrong options have been reported where they were read.
    """
    problems = (*_wrong_env(schedule), *_wrong_interval(schedule))
    if problems or schedule.options is None:
        return None, problems
    timezone = layer([*levels, schedule.options]).timezone
    cron = schedule.cron_interval
    return SchedulePlan(schedule.name, cron, timezone, dict(schedule.env)), ()


def _unknown_job(schedule: Schedule, jobs: Mapping[str, Job]) -> Problem:
    job = schedule.job
    hint = guess(job, jobs, "define the job, or remove the schedule")
    if not isinstance(job, str):
        hint = "name one job" if isinstance(job, list | dict) else "quote it"
    message = f"schedule {schedule.name!r} names the job {shown(job)}, which does not exist"
    return Problem(Code.UNKNOWN_JOB, schedule.entry.at("job"), message, hint)


def _wrong_env(schedule: Schedule) -> Iterator[Problem]:
    env, what = schedule.env, f"schedule {schedule.name!r}: env"
    if not isinstance(env, dict):
        place = schedule.entry.at("env")
        message, hint = f"{what} is no mapping", "write NAME: value"
        yield Problem(Code.INVALID_SCHEDULE_ENV, place, message, hint)
        return
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str):
            message = f"{what} {key} is no text, so `meltano schedule run` fails"
            hint = "put its value in quotes" if isinstance(key, str) else "quote the name"
            if value is None:
                hint = 'write "" for an empty value'
            elif isinstance(value, list | dict):
                hint = "write it as JSON, in quotes"
            place = schedule.entry["env"].at(key)
            yield Problem(Code.INVALID_SCHEDULE_ENV, place, message, hint)


def _wrong_interval(schedule: Schedule) -> Iterator[Problem]:
    wrong = schedule.cron_interval is not None and wrong_cron(schedule.cron_interval)
    if wrong:
        said = shown(schedule.interval)
        message = f"schedule {schedule.name!r}: interval {said} cannot be used: {wrong}"
        near = difflib.get_close_matches(str(schedule.interval), INTERVALS, n=1)
        words = ", ".join(INTERVALS)
        hint = f"did you mean {near[0]}?" if near else f"write five cron fields, or one of {words}"
        if wrong == SIX_FIELDS:
            hint = "remove the field for seconds (the first) or for years (the last)"
        place = schedule.entry.at("interval")
        yield Problem(Code.INVALID_INTERVAL, place, message, hint)


def _conflict(
    schedule: Schedule, plan: SchedulePlan, others: Iterable[SchedulePlan]
) -> Problem | None:
    """Return what keeps Airflow's own timetables from combining a schedule with earlier ones."""
    for other in others:
        differ = {"env": plan.env != other.env, "time zone": plan.timezone != other.timezone}
        if plan.cron and other.cron and any(differ.values()):
            names = f"{other.name!r} and {plan.name!r}"
            what = " and ".join(name for name, differs in differ.items() if differs)
            message = f"schedules {names} run one job with different {what}"
            hint = "give them the same, or each a job of its own"
            return Problem(Code.CONFLICTING_SCHEDULES, schedule.location, message, hint)
    return None
