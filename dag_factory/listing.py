"""What Meltano's own two listings would print."""

from __future__ import annotations

from typing import Any

from dag_factory.project import Project, Schedule


def meltano_listing(project: Project) -> dict[str, Any]:
    """Return `meltano job list` and `meltano schedule list`, both with `--format=json`, as one.

    A schedule whose job does not exist is left out: Meltano's listing fails at it. The time of the
    last successful run, which `schedule list` takes from the system database, is always null.
    """
    tasks = {}
    for job in reversed(project.jobs):
        tasks[_key(job.name)] = job.tasks
    return {
        "jobs": [{"job_name": job.name, "tasks": job.tasks} for job in project.jobs],
        "schedules": {
            "job": [
                _job_schedule(each, tasks[_key(each.job)])
                for each in project.schedules
                if each.job is not None and _key(each.job) in tasks
            ],
            "elt": [_elt_schedule(each) for each in project.schedules if each.job is None],
        },
    }


def _key(name: Any) -> Any:
    return repr(name) if isinstance(name, list | dict) else name


def _job_schedule(schedule: Schedule, tasks: Any) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "interval": schedule.interval,
        "cron_interval": schedule.cron_interval,
        "env": schedule.env,
        "job": {"name": schedule.job, "tasks": tasks},
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
