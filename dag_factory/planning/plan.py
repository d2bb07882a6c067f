"""What Airflow runs, as plain frozen data: one `DagPlan` per DAG, one `TaskPlan` per task."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.values import After
from dag_factory.planning.secret_names import SecretPlan

# Airflow allows 250 characters of [\w.-]. A Kubernetes label has at most 63, and begins and ends
# with a letter or digit: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LEGAL_ID = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LONGEST_READABLE_PART = 54
_LONGEST_TAG = 100
_DIGEST_AT_END = re.compile(r"\.[0-9a-f]{8}$")


@dataclass(frozen=True)
class ExtractorPlan:
    """The environment variables by which a run may configure an extractor.

    Attributes:
        name: The plugin's name, as in `meltano run NAME ...`.
        select_filter: The variable of its extra `select_filter`.
        start: The variable of its setting `start_date`, if it has that setting.
        end: The variable of its setting `end_date`, if it has that setting.
    """

    name: str
    select_filter: str
    start: str | None = None
    end: str | None = None


class TaskKind(StrEnum):
    """The command that a task runs."""

    RUN = "run"
    """`meltano run`, for a task of a job."""

    ELT = "elt"
    """`meltano elt`, for a schedule that has an extractor and a loader instead of a job."""

    STATE = "state"
    """`meltano-state`, for the DAG that looks after Meltano's state."""


def meltano_command(kind: TaskKind, *words: str) -> tuple[str, ...]:
    """Return `meltano run` or `meltano elt` with some words after it.

    Meltano would install plugins even where `auto_install` is off; `--no-install` stops that:
    https://docs.meltano.com/reference/command-line-interface#run
    """
    return ("meltano", kind.value, "--no-install", *words)


def command_blocks(argv: Sequence[str]) -> tuple[TaskKind, tuple[str, ...]]:
    """Return the kind and the blocks of what `meltano_command` made."""
    kind = TaskKind.ELT if TaskKind.ELT in argv[1:2] else TaskKind.RUN
    return kind, tuple(word for word in argv[2:] if not word.startswith("-"))


@dataclass(frozen=True)
class TaskPlan:
    """One Airflow task.

    A *pair* is an extractor and the loader that follows it in the command.

    Attributes:
        task_id: Derived from the command, never from the position.
        kind: The command that it runs.
        blocks: The plugins, mappings and plugin commands that it runs, as in `meltano run BLOCKS`.
        arguments: What follows them in the command.
        upstream: The IDs of the tasks that run before it.
        state_ids: The IDs under which Meltano stores the bookmarks of its pairs, and locks them.
        assets: The names of the Airflow assets that it updates: one per pair.
        extractors: The extractors that it runs.
        sensitive: The variables of its plugins' sensitive settings, inherited ones included.
        secrets: The secrets that it reads from AWS Secrets Manager, or that Kubernetes gives to its
            pod.
        digest: A digest of what it needs from the project, for comparison with an image.
        options: How Airflow runs it.
    """

    task_id: str
    kind: TaskKind
    blocks: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    state_ids: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    extractors: tuple[ExtractorPlan, ...] = ()
    sensitive: tuple[str, ...] = ()
    secrets: tuple[SecretPlan, ...] = ()
    digest: str = ""
    options: TaskOptions = field(default_factory=TaskOptions)

    @property
    def argv(self) -> tuple[str, ...]:
        """The command, for a process or a container without a shell."""
        if self.kind is TaskKind.STATE:
            return ("meltano-state", *self.arguments)
        return meltano_command(self.kind, *self.blocks, *self.arguments)


@dataclass(frozen=True)
class SchedulePlan:
    """One schedule of a DAG.

    Attributes:
        name: The schedule's name, as in `meltano schedule run NAME`.
        cron: Five cron fields; `None` if the job is only started manually.
        timezone: The time zone in which the cron fields count.
        env: The environment variables that its runs get.
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
        job: The name of the job, or of the schedule that has an extractor and a loader.
        name: The name in Airflow's UI: the job's name after the prefix of DAG IDs, if there is one.
        file: The file that defines the job, relative to the project.
        line: The job's line in that file. It is not part of the DAG, which must not change when
            lines above it do.
        environment: The Meltano environment in which it runs.
        link: The web address of the file.
        schedules: The job's schedules, including those that never fire.
        after: The IDs of the DAGs that it runs after.
        options: How Airflow runs it.
        tasks: The tasks in the order of the job.
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
        """The DAG's tags: its own, and the common ones that find all DAGs of Meltano."""
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
        """What starts it, in words."""
        starts = []
        for zone in self.timezones:
            crons = dict.fromkeys(each.cron or "" for each in self.timed if each.timezone == zone)
            starts.append(", ".join(crons) + ("" if zone == "UTC" else f" {zone}"))
        if self.after:
            starts.append(f"after {self.after}")
        return "; ".join(starts) or "by hand"

    @property
    def last(self) -> tuple[str, ...]:
        """The IDs of the tasks that no other task waits for."""
        awaited = {each for task in self.tasks for each in task.upstream}
        return tuple(task.task_id for task in self.tasks if task.task_id not in awaited)

    @property
    def is_uniform(self) -> bool:
        """Whether a timetable of Airflow's own can serve all schedules: same env, same zone."""
        first = self.timed[:1]
        return all((e.env, e.timezone) == (f.env, f.timezone) for e in self.timed for f in first)


def common_tags(environment: str) -> tuple[str, ...]:
    """Return the tags of every DAG of an environment; Airflow allows 100 characters each."""
    return ("meltano", environment[:_LONGEST_TAG])


def legal_id(name: str) -> str:
    """Return a name, or a form of it that Airflow takes as an ID and Kubernetes as a label.

    The form is readable and unique: it ends with a digest of the name.
    """
    if is_legal_id(name) and not _DIGEST_AT_END.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    readable = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_.-")[:_LONGEST_READABLE_PART]
    return f"{readable}.{digest}" if readable else f"id.{digest}"


def is_legal_id(text: str) -> bool:
    """Return whether Airflow takes a text as an ID and Kubernetes takes it as a label."""
    return _LEGAL_ID.fullmatch(text) is not None
