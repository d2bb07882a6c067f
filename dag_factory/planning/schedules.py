"""Which schedules can fire, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dag_factory.cron import INTERVALS, SIX_FIELDS, wrong_cron
from dag_factory.errors import Code, Problem, guess, shown
from dag_factory.options.annotations import Annotations
from dag_factory.planning.plan import SchedulePlan
from dag_factory.project.model import Job, Project, Schedule
from dag_factory.project.option_precedence import OptionLevels
from dag_factory.project.plugins import Plugin

_TRANSFORMS = ("skip", "only", "run")


def runs_in(environment: str, options: Annotations) -> bool:
    """Return whether the `environments` option of a job or schedule allows an environment."""
    return environment in options.values.get("environments", (environment,))


def plan_schedules(
    schedules: Iterable[Schedule],
    jobs: Mapping[str, Job],
    levels: OptionLevels,
    environment: str,
) -> tuple[dict[str, list[SchedulePlan]], tuple[Problem, ...]]:
    """Plan the schedules of jobs.

    Args:
        schedules: Those to plan.
        jobs: The jobs by their names.
        levels: The options of the jobs.
        environment: The Meltano environment; schedules for others are passed over.

    Returns:
        The schedules of each job, and what is wrong.
    """
    planned: dict[str, list[SchedulePlan]] = {}
    problems: list[Problem] = []
    for schedule in schedules:
        job = jobs.get(schedule.job) if isinstance(schedule.job, str) else None
        if job is None:
            problems.append(_unknown_job(schedule, jobs))
            continue
        plan, wrong = plan_schedule(schedule, levels.of_dag(job).timezone)
        problems.extend(wrong)
        if plan is not None and runs_in(environment, schedule.options):
            planned.setdefault(job.name, []).append(plan)
    return planned, tuple(problems)


def plan_schedule(
    schedule: Schedule, timezone: str
) -> tuple[SchedulePlan | None, tuple[Problem, ...]]:
    """Plan one schedule.

    Args:
        schedule: The schedule.
        timezone: That of its job, which counts where it has none of its own.

    Returns:
        Its plan, or what is wrong with it. Wrong options have been reported where they were read.
    """
    problems = (*_wrong_env(schedule), *_wrong_interval(schedule))
    if problems or schedule.options.wrong:
        return None, problems
    zone = schedule.options.values.get("timezone", timezone)
    return SchedulePlan(schedule.name, schedule.cron_interval, zone, dict(schedule.env)), ()


def elt_plugins(
    schedule: Schedule, project: Project, is_refused: Callable[[Any], bool]
) -> tuple[tuple[Plugin, ...], tuple[Problem, ...]]:
    """Find the extractor and the loader of a schedule of the older form.

    Returns:
        Both, or none where one does not exist, and what is wrong.
    """
    found: list[Plugin] = []
    problems = []
    for kind, key in (("extractors", "extractor"), ("loaders", "loader")):
        name = schedule.entry[key]
        known = {each.name: each for each in reversed(project.plugins) if each.type == kind}
        if isinstance(name, str) and name in known:
            found.append(known[name])
        elif not is_refused(name):
            hint = guess(name, known, "add the plugin to the project")
            message = f"schedule {schedule.name!r}: there is no {key} {shown(name)}"
            problems.append(Problem(Code.UNKNOWN_PLUGIN, schedule.entry.at(key), message, hint))
    if schedule.entry["transform"] not in _TRANSFORMS:
        written = shown(schedule.entry["transform"])
        message = f"schedule {schedule.name!r}: transform is {written}"
        hint = f"write one of {', '.join(_TRANSFORMS)}"
        place = schedule.entry.at("transform")
        problems.append(Problem(Code.INVALID_TASKS, place, message, hint))
    both = len(found) == len(("extractor", "loader")) and not problems
    return tuple(found) if both else (), tuple(problems)


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
        forms = f"write five cron fields, or one of {', '.join(INTERVALS)}"
        hint = guess(schedule.interval, INTERVALS, forms)
        if wrong == SIX_FIELDS:
            hint = "remove the field for seconds (the first) or for years (the last)"
        place = schedule.entry.at("interval")
        yield Problem(Code.INVALID_INTERVAL, place, message, hint)
