"""How Airflow runs a job: every option, declared once.

An option is a field of `DagOptions`, `TaskOptions` or `PluginOptions`. Its declaration says what it
means, its type, its default, how its value is written and at which levels it may be set. For users,
docs/options.md describes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dag_factory.options import kinds
from dag_factory.options.expectations import Expectation
from dag_factory.options.kinds import Kind
from dag_factory.options.values import After, Notifier, Secrets

ANNOTATION_KEY = "airflow"
"""The key of `annotations` that holds the options."""


class Level(StrEnum):
    """A kind of place that can set options."""

    PROJECT = "the top level"
    PLUGIN = "a plugin"
    JOB = "a job"
    TASK = "a task of a job"
    ENVIRONMENT = "an environment"
    ENVIRONMENT_JOB = "a job of an environment"
    SCHEDULE = "a schedule"


NESTED_LEVELS = {
    Level.JOB: ("tasks", Level.TASK),
    Level.ENVIRONMENT: ("jobs", Level.ENVIRONMENT_JOB),
}
"""The key below which a level sets options for its parts by their names, and the parts' level."""


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        kind: How its value is written.
        levels: The levels that may set it.
        text: What it means.
    """

    kind: Kind
    levels: tuple[Level, ...]
    text: str


_DAG_LEVELS = (Level.PROJECT, Level.JOB, Level.ENVIRONMENT, Level.ENVIRONMENT_JOB)
_TASK_LEVELS = (*_DAG_LEVELS, Level.PLUGIN, Level.TASK)
_ONE_JOB = (Level.JOB, Level.ENVIRONMENT_JOB)
_OPTION = "option"


def _option(kind: Kind, text: str, levels: tuple[Level, ...] = _DAG_LEVELS) -> dict[str, Option]:
    return {_OPTION: Option(kind, levels, text)}


def _task_option(kind: Kind, text: str) -> dict[str, Option]:
    return _option(kind, text, _TASK_LEVELS)


@dataclass(frozen=True)
class DagOptions:
    """The effective options of a job as a whole."""

    owner: str | None = field(
        default=None,
        metadata=_option(
            kinds.LINE, "Who is responsible for the job; Airflow's own default when unset."
        ),
    )
    tags: tuple[str, ...] = field(
        default=(), metadata=_option(kinds.TEXTS, "Tags to filter by in the UI.")
    )
    description: str | None = field(
        default=None, metadata=_option(kinds.TEXT, "One line for the DAG list.")
    )
    doc_md: str | None = field(
        default=None,
        metadata=_option(
            kinds.TEXT, "Markdown that the UI shows above the generated documentation."
        ),
    )
    owner_links: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_option(kinds.LINKS, "A link (http, https or mailto) for each owner."),
    )
    start_date: datetime | None = field(
        default=None,
        metadata=_option(
            kinds.MOMENT,
            "No schedule fires before this date. Without an offset it is in `timezone`.",
        ),
    )
    timezone: str = field(
        default="UTC",
        metadata=_option(
            kinds.TIMEZONE,
            "The time zone of the job's schedules, such as `Europe/Prague`.",
            (*_DAG_LEVELS, Level.SCHEDULE),
        ),
    )
    catchup: bool = field(
        default=False,
        metadata=_option(
            kinds.FLAG,
            "Whether every missed run since `start_date` is made up for, or only the latest.",
        ),
    )
    paused: bool = field(
        default=False,
        metadata=_option(kinds.FLAG, "Whether a new DAG waits until somebody switches it on."),
    )
    deadline: timedelta | None = field(
        default=None,
        metadata=_option(
            kinds.DURATION,
            "How long a run may take, from the moment it is queued, before somebody is notified.",
        ),
    )
    email: tuple[str, ...] = field(
        default=(), metadata=_option(kinds.ADDRESSES, "Who is notified by mail.")
    )
    email_on: tuple[str, ...] = field(
        default=("failure", "deadline"),
        metadata=_option(
            kinds.EVENTS,
            "The events to notify of: `failure` (the last attempt failed), `retry`, `deadline`.",
        ),
    )
    notify: tuple[Notifier, ...] = field(
        default=(),
        metadata=_option(
            kinds.NOTIFIERS,
            "Other notifiers of Airflow: `class`, `kwargs`, and `events` as in `email_on`.",
        ),
    )
    after: After | None = field(
        default=None,
        metadata=_option(
            kinds.AFTER,
            "The jobs after which this job runs, with or without schedules of its own.",
            _ONE_JOB,
        ),
    )
    order: str = field(
        default="sequential",
        metadata=_option(
            kinds.ORDER,
            "Whether tasks run one after another (`sequential`), or side by side (`parallel`)"
            " unless they share a state ID or an `exclusive` loader.",
        ),
    )
    params: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata=_option(
            kinds.PARAMS,
            "The job's own fields of the trigger form: for each environment variable that the run"
            " gets, a JSON Schema.",
            _ONE_JOB,
        ),
    )
    dag: Mapping[str, Any] = field(
        default_factory=dict, metadata=_option(kinds.ARGUMENTS, "More arguments of Airflow's DAG.")
    )
    environments: tuple[str, ...] | None = field(
        default=None,
        metadata=_option(
            kinds.TEXTS,
            "The Meltano environments that have the job; all, when unset.",
            (Level.JOB, Level.SCHEDULE),
        ),
    )


@dataclass(frozen=True)
class TaskOptions:
    """The effective options of one task."""

    retries: int = field(
        default=2, metadata=_task_option(kinds.COUNT, "How often Airflow retries a failed task.")
    )
    retry_delay: timedelta = field(
        default=timedelta(minutes=6),
        metadata=_task_option(
            kinds.DURATION,
            "The wait before a retry. The default is longer than the five minutes for which Meltano"
            " holds the lock of a run that was killed.",
        ),
    )
    retry_exponential_backoff: float = field(
        default=0.0,
        metadata=_task_option(
            kinds.BACKOFF, "The factor by which each wait is longer than the last; 0 for none."
        ),
    )
    max_retry_delay: timedelta | None = field(
        default=None, metadata=_task_option(kinds.DURATION, "The longest wait before a retry.")
    )
    execution_timeout: timedelta | None = field(
        default=None,
        metadata=_task_option(
            kinds.DURATION, "The time after which a task is stopped; never, when unset."
        ),
    )
    pool: str | None = field(
        default=None,
        metadata=_task_option(
            kinds.LINE, "The Airflow pool of the task; the default one, when unset."
        ),
    )
    pool_slots: int = field(
        default=1,
        metadata=_task_option(kinds.POSITIVE, "How many slots of the pool the task takes."),
    )
    priority_weight: int = field(
        default=1,
        metadata=_task_option(
            kinds.POSITIVE, "Tasks with a higher weight go first when a pool is full."
        ),
    )
    weight_rule: str = field(
        default="downstream",
        metadata=_task_option(
            kinds.WEIGHT_RULE,
            "Which other tasks' weights count, too: `downstream`, `upstream` or `absolute`.",
        ),
    )
    queue: str | None = field(
        default=None,
        metadata=_task_option(kinds.LINE, "A queue of the executor; its default one, when unset."),
    )
    expect: Expectation | None = field(
        default=None,
        metadata=_task_option(
            kinds.EXPECTATION,
            "How many rows a run must load, and how old the newest may be. Otherwise the task fails"
            " without a retry.",
        ),
    )
    runner: str = field(
        default="local",
        metadata=_task_option(
            kinds.RUNNER,
            "Where the task runs: `local`, as a process of the Airflow worker, or `kubernetes`, as"
            " a pod.",
        ),
    )
    deferrable: bool | None = field(
        default=None,
        metadata=_task_option(
            kinds.FLAG,
            "Whether the task leaves its worker while its pod runs; when unset, as Airflow's"
            " `[operators] default_deferrable` says.",
        ),
    )
    image: str | None = field(
        default=None,
        metadata=_task_option(
            kinds.IMAGE, "The image of the task's pod; `MELTANO_IMAGE` overrides it."
        ),
    )
    resources: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict,
        metadata=_task_option(
            kinds.RESOURCES, "The resource requests and limits of the task's pod."
        ),
    )
    service_account: str | None = field(
        default=None,
        metadata=_task_option(
            kinds.OBJECT_NAME,
            "The ServiceAccount of the task's pod; the namespace's default one, when unset.",
        ),
    )
    node_selector: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_task_option(
            kinds.LABELS, "The labels of the nodes on which the task's pod may run."
        ),
    )
    tolerations: tuple[Mapping[str, Any], ...] = field(
        default=(),
        metadata=_task_option(
            kinds.TOLERATIONS, "The taints of nodes that the task's pod tolerates."
        ),
    )
    secrets: Secrets = field(
        default_factory=Secrets,
        metadata=_task_option(
            kinds.SECRETS,
            "Secrets that the task reads besides those of its plugins, and where a pod gets secrets"
            " from: AWS Secrets Manager (`aws`), or Secrets of Kubernetes (`k8s`).",
        ),
    )
    pod_override: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=_task_option(
            kinds.POD_OVERRIDE,
            "A part of a pod, merged into the pod of the runner, the way Kubernetes merges.",
        ),
    )
    operator: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=_task_option(kinds.ARGUMENTS, "More arguments of the task's Airflow operator."),
    )

    @property
    def in_pod(self) -> bool:
        """Whether the task is a pod."""
        return self.runner == "kubernetes"

    @property
    def given_secrets(self) -> bool:
        """Whether Kubernetes passes the secrets to the pod, so that the task reads none itself."""
        return self.in_pod and self.secrets.mode == "k8s"


@dataclass(frozen=True)
class PluginOptions:
    """The options that only a plugin has."""

    exclusive: bool = field(
        default=False,
        metadata=_option(
            kinds.FLAG,
            "Whether only one task of a job may use the plugin at a time, such as a loader into a"
            " database with one writer.",
            (Level.PLUGIN,),
        ),
    )


OPTIONS: Mapping[str, Option] = {
    each.name: each.metadata[_OPTION]
    for options in (DagOptions, TaskOptions, PluginOptions)
    for each in fields(options)
}
"""Every option by its name, in the order of the documentation."""


def is_option(key: Any, level: Level) -> bool:
    """Return whether a level may set an option of this name."""
    return key in OPTIONS and level in OPTIONS[key].levels
