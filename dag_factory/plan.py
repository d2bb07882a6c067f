"""What Airflow is to run, as plain frozen data: one `DagPlan` per DAG, one `TaskPlan` per task."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dag_factory.options import Options

# Airflow takes 250 characters of [\w.-]; a Kubernetes label 63 that begin and end with a letter or
# digit: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LEGAL_ID = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_READABLE = 54
_DIGEST = re.compile(r"\.[0-9a-f]{8}$")


@dataclass(frozen=True)
class TaskPlan:
    """One Airflow task.

    Attributes:
        task_id: From the command, never from the position.
        argv: The command, for a process or container without a shell.
        upstream: The ids of the tasks that run before.
        state_ids: Under which Meltano keeps the bookmarks of its pairs, and locks them.
        secrets: The variables of its plugins' sensitive settings.
        digest: Of what it needs of the project, so that an image can be compared with it.
    """

    task_id: str
    argv: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    state_ids: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class SchedulePlan:
    """One schedule of a DAG.

    Attributes:
        name: As in `meltano schedule run NAME`.
        cron: Five cron fields, or `None` for "only by hand".
        timezone: In which they count.
        env: Variables that its runs get.
    """

    name: str
    cron: str | None
    timezone: str
    env: Mapping[str, str]


@dataclass(frozen=True)
class DagPlan:
    """One DAG.

    Attributes:
        dag_id: The job's name, or a legal and unique form of it.
        job: The name of the job, or of the extractor/loader schedule.
        file: The file that defines it, relative to the project.
        line: Where in that file; no part of the DAG, which must not change with the lines above.
        environment: The Meltano environment that it runs in.
        schedules: When it runs; those that never fire are there too.
        options: How Airflow runs it.
        tasks: In the order of the job.
    """

    dag_id: str
    job: str
    file: str
    line: int = field(compare=False)
    environment: str
    schedules: tuple[SchedulePlan, ...]
    options: Options
    tasks: tuple[TaskPlan, ...]

    @property
    def crons(self) -> tuple[str, ...]:
        """The cron expressions that start it, each once."""
        return tuple(dict.fromkeys(each.cron for each in self.schedules if each.cron))

    @property
    def timezone(self) -> str:
        """The time zone of the cron expressions."""
        return next((each.timezone for each in self.schedules if each.cron), self.options.timezone)

    @property
    def schedule_env(self) -> Mapping[str, str]:
        """The variables that scheduled runs get."""
        return next((each.env for each in self.schedules if each.cron), {})


def legal_id(name: str) -> str:
    """Return `name` where it is an id to Airflow and a label to Kubernetes, else a form that is.

    That form is readable and unique: the digest of the name ends it.
    """
    if _LEGAL_ID.fullmatch(name) and not _DIGEST.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    readable = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_.-")[:_READABLE]
    return f"{readable}.{digest}" if readable else f"id.{digest}"
