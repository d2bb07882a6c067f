"""How Airflow runs a job: every option, where it may stand, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dag_factory.options import pod_values, values
from dag_factory.options.expectations import Expectation
from dag_factory.options.values import After, Notifier, Secrets

KEY = "airflow"
"""Whose options stand below it in `annotations`."""
_DURATION = r"^(0*[1-9]\d*[smhd]|P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$"


class Level(StrEnum):
    """Where options stand."""

    PROJECT = "the top level"
    PLUGIN = "a plugin"
    JOB = "a job"
    TASK = "a task of a job"
    ENVIRONMENT = "an environment"
    ENVIRONMENT_JOB = "a job of an environment"
    SCHEDULE = "a schedule"


PARTS = {Level.JOB: ("tasks", Level.TASK), Level.ENVIRONMENT: ("jobs", Level.ENVIRONMENT_JOB)}
"""Below which key a level holds options for its parts, by their names."""


@dataclass(frozen=True)
class DagOptions:
    """The effective options of a job as a whole.

    Attributes:
        owner: Who answers for the job; Airflow's own default when unset.
        tags: For filtering in the UI.
        description: One line for the DAG list.
        doc_md: Markdown that the UI shows above what is generated.
        owner_links: A link (http, https or mailto) for each owner.
        start_date: Before which no schedule fires; without an offset it is in `timezone`.
        timezone: The time zone of its schedules, such as `Europe/Prague`.
        catchup: Whether ticks that were missed, and those since `start_date`, are made up for, one
            run each; else only the latest is.
        paused: Whether a new DAG waits for somebody to switch it on.
        deadline: How long a run may take, from the moment it is queued, before somebody hears.
        email: Who hears of it by mail.
        email_on: Of what: `failure` (the last try failed), `retry`, `deadline`.
        notify: Other notifiers of Airflow: `class`, `kwargs`, and `events` as in `email_on`.
        after: The jobs that it runs after, alone or beside its schedules.
        order: Whether tasks run one after another (`sequential`), or side by side (`parallel`)
            where neither state IDs nor an `exclusive` loader forbid it.
        params: Its own fields of the trigger form: a variable that the run gets, and a JSON Schema.
        dag: More arguments of Airflow's DAG.
        environments: The Meltano environments that have it; all, when unset.
    """

    owner: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    doc_md: str | None = None
    owner_links: Mapping[str, str] = field(default_factory=dict)
    start_date: datetime | None = None
    timezone: str = "UTC"
    catchup: bool = False
    paused: bool = False
    deadline: timedelta | None = None
    email: tuple[str, ...] = ()
    email_on: tuple[str, ...] = ("failure", "deadline")
    notify: tuple[Notifier, ...] = ()
    after: After | None = None
    order: str = "sequential"
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dag: Mapping[str, Any] = field(default_factory=dict)
    environments: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TaskOptions:
    """The effective options of one task.

    Attributes:
        retries: How often Airflow tries a failed task again.
        retry_delay: The wait before that. The default is longer than the five minutes for which
            Meltano holds the lock of a run that was killed.
        retry_exponential_backoff: By how much each wait is longer than the last; 0 for not at all.
        max_retry_delay: The longest wait.
        execution_timeout: After which a task is stopped; never, when unset.
        pool: The Airflow pool that it runs in; the default one, when unset.
        pool_slots: How many of the pool's slots it takes.
        priority_weight: Which tasks of a full pool go first: those with more.
        weight_rule: Whose weights count, too: `downstream`, `upstream` or `absolute`.
        queue: A queue of the executor; its default one, when unset.
        expect: How many rows a run is to load, and how old the newest may be; else the task fails,
            and is not tried again.
        runner: How it is executed: `local`, as a process of the Airflow worker, or `kubernetes`, as
            a pod.
        deferrable: Whether it leaves its worker while its pod runs; unset, as Airflow's
            `[operators] default_deferrable` says.
        image: The image of its pod; `MELTANO_IMAGE` goes before it.
        resources: What its pod requests, and its limits.
        service_account: The ServiceAccount of its pod; the namespace's default one, when unset.
        node_selector: The labels of the nodes that its pod may run on.
        tolerations: The taints of nodes that its pod bears.
        secrets: Secrets that it reads beside those of its plugins, and from where a pod has them:
            AWS Secrets Manager (`aws`), or Secrets of Kubernetes (`k8s`).
        pod_override: A part of a pod, laid over what the runner makes, the way Kubernetes merges.
        operator: More arguments of its Airflow operator.
    """

    retries: int = 2
    retry_delay: timedelta = timedelta(minutes=6)
    retry_exponential_backoff: float = 0.0
    max_retry_delay: timedelta | None = None
    execution_timeout: timedelta | None = None
    pool: str | None = None
    pool_slots: int = 1
    priority_weight: int = 1
    weight_rule: str = "downstream"
    queue: str | None = None
    expect: Expectation | None = None
    runner: str = "local"
    deferrable: bool | None = None
    image: str | None = None
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    service_account: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    secrets: Secrets = field(default_factory=Secrets)
    pod_override: Mapping[str, Any] = field(default_factory=dict)
    operator: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_pod(self) -> bool:
        """Whether the task is a pod."""
        return self.runner == "kubernetes"

    @property
    def given_secrets(self) -> bool:
        """Whether Kubernetes hands its pod the secrets, so that it reads none itself."""
        return self.in_pod and self.secrets.mode == "k8s"


@dataclass(frozen=True)
class PluginOptions:
    """What only a plugin says.

    Attributes:
        exclusive: Whether only one task of a job may use the plugin at a time, such as a loader
            into a database with one writer.
    """

    exclusive: bool = False


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        read: Reads a value; a ValueError or OverflowError says what is wrong with it, and after a
            semicolon what to do, where that can be told.
        levels: Where it may stand.
        schema: Its JSON Schema.
    """

    read: Callable[[Any], Any]
    levels: tuple[Level, ...]
    schema: Mapping[str, Any]


_OF_DAG = (Level.PROJECT, Level.JOB, Level.ENVIRONMENT, Level.ENVIRONMENT_JOB)
_OF_TASK = (*_OF_DAG, Level.PLUGIN, Level.TASK)
_ONE_JOB = (Level.JOB, Level.ENVIRONMENT_JOB)
_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}
_FLAG = {"type": "boolean"}
_LENGTH = {"type": "string", "pattern": _DURATION}
_MAP = {"type": "object"}
_EVENTS = {"type": "array", "items": {"enum": list(values.EVENTS)}}
_NOTIFIER = {
    "type": "object",
    "properties": {"class": _TEXT, "kwargs": _MAP, "events": _EVENTS},
    "required": ["class"],
    "additionalProperties": False,
}
_JOB_CONDITIONS = [
    {**_MAP, "properties": {how: _TEXTS}, "required": [how], "additionalProperties": False}
    for how in ("all", "any")
]
_SECRETS = {
    **_MAP,
    "properties": {"mode": {"enum": list(values.SECRET_MODES)}, "names": _TEXTS},
    "minProperties": 1,
    "additionalProperties": False,
}
_NUMBER = {"type": "integer", "minimum": 0}
_QUANTITIES = {**_MAP, "additionalProperties": {"type": ["string", "number"]}}
_PARAM = {**_MAP, "properties": {"type": {"enum": [*values.PARAM_TYPES]}}, "required": ["type"]}


def _bounds(*keys: str) -> dict[str, Any]:
    kinds = {"min": _NUMBER, "max": _NUMBER, "max_age": _LENGTH}
    properties = {key: kinds[key] for key in keys}
    return {**_MAP, "properties": properties, "additionalProperties": False}


def _words(words: tuple[str, ...], levels: tuple[Level, ...]) -> Option:
    return Option(values.one_of(words), levels, {"type": "string", "enum": list(words)})


OPTIONS: Mapping[str, Option] = {
    "owner": Option(values.line, _OF_DAG, _TEXT),
    "tags": Option(values.texts, _OF_DAG, _TEXTS),
    "description": Option(values.text, _OF_DAG, _TEXT),
    "doc_md": Option(values.text, _OF_DAG, _TEXT),
    "owner_links": Option(values.links, _OF_DAG, {**_MAP, "additionalProperties": _TEXT}),
    "start_date": Option(values.moment, _OF_DAG, _TEXT),
    "timezone": Option(values.timezone, (*_OF_DAG, Level.SCHEDULE), _TEXT),
    "catchup": Option(values.flag, _OF_DAG, _FLAG),
    "paused": Option(values.flag, _OF_DAG, _FLAG),
    "deadline": Option(values.duration, _OF_DAG, _LENGTH),
    "email": Option(values.addresses, _OF_DAG, {"anyOf": [_TEXT, _TEXTS]}),
    "email_on": Option(values.events, _OF_DAG, _EVENTS),
    "notify": Option(values.notifiers, _OF_DAG, {"type": "array", "items": _NOTIFIER}),
    "after": Option(values.after, _ONE_JOB, {"anyOf": [_TEXT, _TEXTS, *_JOB_CONDITIONS]}),
    "order": _words(values.ORDERS, _OF_DAG),
    "params": Option(values.params, _ONE_JOB, {**_MAP, "additionalProperties": _PARAM}),
    "dag": Option(values.arguments, _OF_DAG, _MAP),
    "environments": Option(values.texts, (Level.JOB, Level.SCHEDULE), _TEXTS),
    "retries": Option(values.whole(0), _OF_TASK, {"type": "integer", "minimum": 0}),
    "retry_delay": Option(values.duration, _OF_TASK, _LENGTH),
    "retry_exponential_backoff": Option(
        values.backoff, _OF_TASK, {"anyOf": [_FLAG, {"type": "number", "minimum": 0}]}
    ),
    "max_retry_delay": Option(values.duration, _OF_TASK, _LENGTH),
    "execution_timeout": Option(values.duration, _OF_TASK, _LENGTH),
    "pool": Option(values.line, _OF_TASK, _TEXT),
    "pool_slots": Option(values.whole(1), _OF_TASK, {"type": "integer", "minimum": 1}),
    "priority_weight": Option(values.whole(1), _OF_TASK, {"type": "integer", "minimum": 1}),
    "weight_rule": _words(values.WEIGHT_RULES, _OF_TASK),
    "queue": Option(values.line, _OF_TASK, _TEXT),
    "expect": Option(
        values.expect,
        _OF_TASK,
        {
            **_MAP,
            "properties": {
                "rows": _bounds("min", "max"),
                "max_age": _LENGTH,
                "streams": {**_MAP, "additionalProperties": _bounds("min", "max", "max_age")},
            },
            "additionalProperties": False,
        },
    ),
    "runner": _words(values.RUNNERS, _OF_TASK),
    "deferrable": Option(values.flag, _OF_TASK, _FLAG),
    "image": Option(pod_values.image, _OF_TASK, _TEXT),
    "resources": Option(
        pod_values.resources,
        _OF_TASK,
        {
            **_MAP,
            "properties": {"requests": _QUANTITIES, "limits": _QUANTITIES},
            "additionalProperties": False,
        },
    ),
    "service_account": Option(pod_values.object_name, _OF_TASK, _TEXT),
    "node_selector": Option(
        pod_values.labels, _OF_TASK, {**_MAP, "additionalProperties": {"type": "string"}}
    ),
    "tolerations": Option(pod_values.tolerations, _OF_TASK, {"type": "array", "items": _MAP}),
    "secrets": Option(values.secrets, _OF_TASK, {"anyOf": [_TEXTS, _SECRETS]}),
    "pod_override": Option(
        pod_values.pod_override,
        _OF_TASK,
        {
            **_MAP,
            "properties": {"metadata": _MAP, "spec": _MAP},
            "additionalProperties": False,
        },
    ),
    "operator": Option(values.arguments, _OF_TASK, _MAP),
    "exclusive": Option(values.flag, (Level.PLUGIN,), _FLAG),
}
"""Every option by its name, in the order of the documentation."""


def option_schema(level: Level) -> dict[str, Any]:
    """Return the JSON Schema of the options that may stand at a level."""
    described = _descriptions()
    properties = {
        name: {**option.schema, "description": described[name]}
        for name, option in OPTIONS.items()
        if level in option.levels
    }
    if level in PARTS:
        key, part = PARTS[level]
        properties[key] = {**_MAP, "additionalProperties": option_schema(part)}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _descriptions() -> dict[str, str]:
    """Return what the docstrings say of each option."""
    found: dict[str, str] = {}
    for documented in (DagOptions, TaskOptions, PluginOptions):
        attributes = (documented.__doc__ or "").split("Attributes:")[1]
        written = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", attributes, re.MULTILINE)
        found |= {name: " ".join(text.split()) for name, text in written}
    return found


def is_option(key: Any, level: Level) -> bool:
    """Return whether there is an option of this name for a level."""
    return key in OPTIONS and level in OPTIONS[key].levels
