"""Plans the schedules of jobs, and the schedules that have an extractor and a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dag_factory.cron import INTERVALS, SIX_FIELDS, wrong_cron
from dag_factory.errors import Code, Problems, guess, shown
from dag_factory.options.annotations import Annotations
from dag_factory.planning.plan import SchedulePlan
from dag_factory.project.model import Job, Project, Schedule
from dag_factory.project.option_precedence import OptionLevels
from dag_factory.project.plugins import Plugin

_TRANSFORMS = ("skip", "only", "run")


def runs_in(environment: str, options: Annotations) -> bool:
    """Return whether the option `environments` of a job or schedule allows an environment."""
    return environment in options.values.get("environments", (environment,))


def plan_schedules(
    schedules: Iterable[Schedule],
    jobs: Mapping[str, Job],
    levels: OptionLevels,
    environment: str,
    problems: Problems,
) -> dict[str, list[SchedulePlan]]:
    """Plan the schedules of jobs.

    Args:
        schedules: The schedules.
        jobs: The jobs by their names.
        levels: The options of the jobs.
        environment: The Meltano environment. Schedules for other environments are left out.
        problems: Where schedules that cannot be used are reported.

    Returns:
        The schedules of each job.
    """
    planned: dict[str, list[SchedulePlan]] = {}
    for schedule in schedules:
        job = jobs.get(schedule.job) if isinstance(schedule.job, str) else None
        if job is None:
            _report_unknown_job(schedule, jobs, problems)
            continue
        plan = plan_schedule(schedule, levels.of_dag(job).timezone, problems)
        if plan is not None and runs_in(environment, schedule.options):
            planned.setdefault(job.name, []).append(plan)
    return planned


def plan_schedule(schedule: Schedule, timezone: str, problems: Problems) -> SchedulePlan | None:
    """Plan one schedule.

    Args:
        schedule: The schedule.
        timezone: The time zone of its job, unless the schedule has one of its own.
        problems: Where it is reported if it cannot be used. Options are reported where they are
            read, not here.

    Returns:
        The plan; `None` if the schedule cannot be used.
    """
    before = len(problems)
    _check_env(schedule, problems)
    _check_interval(schedule, problems)
    if len(problems) > before or schedule.options.wrong:
        return None
    zone = schedule.options.values.get("timezone", timezone)
    return SchedulePlan(schedule.name, schedule.cron_interval, zone, dict(schedule.env))


def elt_plugins(
    schedule: Schedule, project: Project, is_rejected: Callable[[Any], bool], problems: Problems
) -> tuple[Plugin, ...]:
    """Return the extractor and the loader of an ELT schedule; neither if one does not exist.

    Args:
        schedule: The schedule.
        project: The project, which defines the plugins.
        is_rejected: Returns whether Meltano rejects a plugin name, which is reported already.
        problems: Where unknown plugins and a wrong `transform` are reported.
    """
    before = len(problems)
    found: list[Plugin] = []
    for kind, key in (("extractors", "extractor"), ("loaders", "loader")):
        name = schedule.entry[key]
        known = {each.name: each for each in reversed(project.plugins) if each.type == kind}
        if isinstance(name, str) and name in known:
            found.append(known[name])
        elif not is_rejected(name):
            hint = guess(name, known, "add the plugin to the project")
            message = f"schedule {schedule.name!r}: no {key} is named {shown(name)}"
            problems.add(Code.UNKNOWN_PLUGIN, schedule.entry.at(key), message, hint)
    transform = schedule.entry["transform"]
    if transform not in _TRANSFORMS:
        message = f"schedule {schedule.name!r}: transform is {shown(transform)}"
        hint = f"write one of {', '.join(_TRANSFORMS)}"
        problems.add(Code.INVALID_TASKS, schedule.entry.at("transform"), message, hint)
    has_both = len(found) == len(("extractor", "loader"))
    return tuple(found) if has_both and len(problems) == before else ()


def _report_unknown_job(schedule: Schedule, jobs: Mapping[str, Job], problems: Problems) -> None:
    job = schedule.job
    hint = guess(job, jobs, "define the job, or remove the schedule")
    if not isinstance(job, str):
        hint = "name one job" if isinstance(job, list | dict) else "quote it"
    message = f"schedule {schedule.name!r} names the job {shown(job)}, which does not exist"
    problems.add(Code.UNKNOWN_JOB, schedule.entry.at("job"), message, hint)


def _check_env(schedule: Schedule, problems: Problems) -> None:
    env, what = schedule.env, f"schedule {schedule.name!r}: env"
    if not isinstance(env, dict):
        place = schedule.entry.at("env")
        message, hint = f"{what} must be a mapping", "write NAME: value"
        problems.add(Code.INVALID_SCHEDULE_ENV, place, message, hint)
        return
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str):
            message = f"{what}: {key} must be a string, or `meltano schedule run` fails"
            hint = "put its value in quotes" if isinstance(key, str) else "quote the name"
            if value is None:
                hint = 'write "" for an empty value'
            elif isinstance(value, list | dict):
                hint = "write it as JSON, in quotes"
            place = schedule.entry["env"].at(key)
            problems.add(Code.INVALID_SCHEDULE_ENV, place, message, hint)


def _check_interval(schedule: Schedule, problems: Problems) -> None:
    reason = schedule.cron_interval is not None and wrong_cron(schedule.cron_interval)
    if reason:
        written = shown(schedule.interval)
        message = f"schedule {schedule.name!r}: interval {written} cannot be used: {reason}"
        forms = f"write five cron fields, or one of {', '.join(INTERVALS)}"
        hint = guess(schedule.interval, INTERVALS, forms)
        if reason == SIX_FIELDS:
            hint = "remove the field for seconds (the first) or for years (the last)"
        problems.add(Code.INVALID_INTERVAL, schedule.entry.at("interval"), message, hint)
