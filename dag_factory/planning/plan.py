"""What Airflow is to run, as plain frozen data: one `DagPlan` per DAG, one `TaskPlan` per task."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.values import After
from dag_factory.planning.secret_names import SecretPlan

# Airflow takes 250 characters of [\w.-]; a Kubernetes label 63 that begin and end with a letter or
# digit: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LEGAL_ID = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_READABLE = 54
_TAG = 100
_DIGEST = re.compile(r"\.[0-9a-f]{8}$")


@dataclass(frozen=True)
class ExtractorPlan:
    """What a run may set of an extractor, by the variables that Meltano reads.

    Attributes:
        name: As in `meltano run NAME ...`.
        select_filter: That of the extra `select_filter`.
        start: That of the setting `start_date`, where it has one.
        end: That of the setting `end_date`, where it has one.
    """

    name: str
    select_filter: str
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class TaskPlan:
    """One Airflow task.

    Attributes:
        task_id: From the command, never from the position.
        argv: The command, for a process or container without a shell.
        upstream: The ids of the tasks that run before.
        state_ids: Under which Meltano keeps the bookmarks of its pairs, and locks them.
        assets: The names of the Airflow assets that it updates: one per pair.
        extractors: Those that it runs.
        sensitive: The variables of its plugins' sensitive settings, and of those that they inherit.
        secrets: What it reads of AWS Secrets Manager, or Kubernetes hands to its pod.
        digest: Of what it needs of the project, so that an image can be compared with it.
        options: How Airflow runs it.
    """

    task_id: str
    argv: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    state_ids: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    extractors: tuple[ExtractorPlan, ...] = ()
    sensitive: tuple[str, ...] = ()
    secrets: tuple[SecretPlan, ...] = ()
    digest: str = ""
    options: TaskOptions = field(default_factory=TaskOptions)

    @property
    def is_elt(self) -> bool:
        """Whether it is `meltano elt`, of a schedule without a job, and not `meltano run`."""
        return self.argv[1] == "elt"


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
        name: What the UI shows: the job, after the prefix where DAG ids have one.
        file: The file that defines it, relative to the project.
        line: Where in that file; no part of the DAG, which must not change with the lines above.
        environment: The Meltano environment that it runs in.
        link: Where a person reads the file.
        schedules: When it runs; those that never fire are there too.
        after: The ids of the DAGs that it runs after.
        options: How Airflow runs it.
        tasks: In the order of the job.
    """

    dag_id: str
    job: str
    name: str
    file: str
    line: int = field(compare=False)
    environment: str
    link: str | None
    schedules: tuple[SchedulePlan, ...]
    after: After | None
    options: DagOptions
    tasks: tuple[TaskPlan, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """Those of Airflow's list of DAGs: its own, and what finds all of Meltano's."""
        return tuple(sorted({*common_tags(self.environment), *self.options.tags}))

    @property
    def timed(self) -> tuple[SchedulePlan, ...]:
        """The schedules that fire."""
        return tuple(each for each in self.schedules if each.cron)

    @property
    def crons(self) -> tuple[str, ...]:
        """The cron expressions that start it, each once."""
        return tuple(dict.fromkeys(each.cron for each in self.schedules if each.cron))

    @property
    def timezones(self) -> tuple[str, ...]:
        """The time zones of the cron expressions, each once."""
        return tuple(dict.fromkeys(each.timezone for each in self.timed))

    @property
    def start(self) -> str:
        """What starts it, for people."""
        starts = []
        for zone in self.timezones:
            crons = dict.fromkeys(each.cron or "" for each in self.timed if each.timezone == zone)
            starts.append(", ".join(crons) + ("" if zone == "UTC" else f" {zone}"))
        if self.after:
            starts.append(f"after {self.after}")
        return "; ".join(starts) or "by hand"

    @property
    def last(self) -> tuple[str, ...]:
        """The ids of the tasks that no other waits for."""
        awaited = {each for task in self.tasks for each in task.upstream}
        return tuple(task.task_id for task in self.tasks if task.task_id not in awaited)

    @property
    def is_uniform(self) -> bool:
        """Whether one timetable of Airflow's own can serve all schedules: same env, same zone."""
        first = self.timed[:1]
        return all((e.env, e.timezone) == (f.env, f.timezone) for e in self.timed for f in first)


def common_tags(environment: str) -> tuple[str, ...]:
    """Return the tags of every DAG of an environment; Airflow takes 100 characters."""
    return ("meltano", environment[:_TAG])


def legal_id(name: str) -> str:
    """Return `name` where it is an id to Airflow and a label to Kubernetes, else a form that is.

    That form is readable and unique: the digest of the name ends it.
    """
    if is_legal_id(name) and not _DIGEST.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    readable = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_.-")[:_READABLE]
    return f"{readable}.{digest}" if readable else f"id.{digest}"


def is_legal_id(text: str) -> bool:
    """Return whether a text is an id to Airflow and a label to Kubernetes."""
    return _LEGAL_ID.fullmatch(text) is not None
