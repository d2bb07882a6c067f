"""Warnings of jobs whose options do not do what they seem to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from dag_factory.errors import Code, Location, Problem
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.pod_values import BASE_CONTAINER
from dag_factory.project.model import Environment, Project
from dag_factory.project.plugins import Plugin

_DATABASE = "MELTANO_DATABASE_URI"
_SHARED = (_DATABASE, "MELTANO_STATE_BACKEND_URI")
_METHOD = "load_method"
_APPEND = "append-only"
_KEYS = "table-key-properties"
# What each pod has for itself: files, and the state backend that is in the database.
_OWN = ("sqlite", "file:", "systemdb")


def no_shared_database(
    project: Project, environment: Environment, options: TaskOptions, place: Location
) -> Iterator[Problem]:
    """Yield a warning where pods have no system database or state backend in common.

    Meltano keeps bookmarks, and the lock that keeps two runs of a state ID apart, in its system
    database, by default a file that ends with the pod:
    https://docs.meltano.com/concepts/project#system-database. What a Secret, or a secret whose keys
    are variables, holds is not known here: it may be the database.

    Args:
        project: The project.
        environment: The Meltano environment that pods run in.
        options: Those of one task that runs in a pod.
        place: Where it is said that it does.
    """
    backend = project.data.get("state_backend")
    written = [
        project.data.get("database_uri"),
        project.data.get("state_backend.uri"),
        backend.get("uri") if isinstance(backend, Mapping) else None,
    ]
    for block in (entry.get("env") for entry in (project.data, environment.entry)):
        written += [block.get(each) for each in _SHARED] if isinstance(block, Mapping) else ()
    base = next((c for c in _containers(options.pod_override) if c["name"] == BASE_CONTAINER), {})
    for variable in base.get("env") or ():
        if variable["name"] in _SHARED:
            written.append(variable.get("value") or variable.get("valueFrom"))
    is_set = any(each and not str(each).startswith(_OWN) for each in written)
    of_variables = {*options.secrets.names} - {each.name for each in project.plugins}
    if not (is_set or base.get("envFrom") or of_variables):
        message = (
            f"pods of {environment.name!r} share neither a system database nor a state backend,"
            " so that their bookmarks are lost"
        )
        hint = f"give them {_DATABASE}, such as from a Secret by envFrom in `pod_override`"
        yield Problem(Code.NO_SHARED_DATABASE, place, message, hint)


def no_secrets_prefix(
    options: TaskOptions, prefix: str | None, places: Mapping[str, tuple[Location, ...]]
) -> Iterator[Problem]:
    """Yield a warning where the option `secrets` of a pod gives it nothing, for want of a prefix.

    A process of the local runner has the project's `.env` instead, a pod has none.

    Args:
        options: Those of one task that runs in a pod.
        prefix: What begins the names of secrets.
        places: Where the options stand.
    """
    if (options.secrets.names or options.given_secrets) and not prefix:
        *_, place = places["secrets"]
        message = "pods read no `secrets`, as DAG_FACTORY_SECRETS_PREFIX is not set"
        hint = "set it where DAGs are parsed and checked, or remove the option"
        yield Problem(Code.NO_SECRETS_PREFIX, place, message, hint)


def unheard_deadline(
    options: DagOptions, places: Mapping[str, tuple[Location, ...]]
) -> Iterator[Problem]:
    """Yield a warning where a run has a deadline, and nobody hears that it is missed.

    Args:
        options: Those of one job.
        places: Where they stand.
    """
    mailed = options.email and "deadline" in options.email_on
    if options.deadline and not mailed and not any("deadline" in n.events for n in options.notify):
        *_, place = places["deadline"]
        message = "nobody hears of a missed `deadline`"
        hint = "set `email`, with deadline in its `email_on`, or `notify`; or remove the deadline"
        yield Problem(Code.UNHEARD_DEADLINE, place, message, hint)


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (pod.get("spec") or {}).get("containers") or []


def lasting_containers(
    options: TaskOptions, places: Mapping[str, tuple[Location, ...]]
) -> Iterator[Problem]:
    """Yield a warning for each container beside Meltano's that could keep a pod from its end.

    A pod is over when all its containers are, but for those of `initContainers` with
    `restartPolicy: Always`, which Kubernetes then ends:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/.

    Args:
        options: Those of one task that runs in a pod.
        places: Where they stand, and what is in them.
    """
    for name in (each["name"] for each in _containers(options.pod_override)):
        if name != BASE_CONTAINER:
            *_, place = places[f"pod_override.spec.containers.{name}.name"]
            message = f"a task waits for its container {name!r}, until that ends by itself"
            hint = "move it to `initContainers`, with `restartPolicy: Always` (Kubernetes 1.29)"
            yield Problem(Code.LASTING_CONTAINER, place, message, hint)


def without_keys(plugins: Iterable[Plugin], environment: Environment) -> Iterator[Problem]:
    """Yield a warning for each place that says that rows have no key, for tasks that are retried.

    A run that is tried again loads again what came after the last bookmark: with keys the rows
    replace those that are there, without them they stand twice.

    Args:
        plugins: Those of a task.
        environment: The Meltano environment that it runs in.
    """
    for plugin in plugins:
        entries = (*environment.configured(plugin), *plugin.definition)
        for what, cure, place in _keyless(plugin, [each for each in entries if _is_written(each)]):
            message = f"{plugin.name!r}: {what}, and a task that is tried again loads some twice"
            hint = f"{cure}, set `retries: 0`, or bear with it"
            yield Problem(Code.NO_KEYS, place, message, hint)


def _keyless(plugin: Plugin, entries: list[YamlMap]) -> Iterator[tuple[str, str, Location]]:
    """Yield what has no key, and what to do; of the places that say it, the first counts."""
    if plugin.type == "loaders":
        method, place = next(_methods(entries), (None, plugin.location))
        if method == _APPEND:
            yield "it appends rows", f"set {_METHOD} to upsert", place
    if plugin.type != "extractors":
        return
    said: set[str] = set()
    for metadata in (each["metadata"] for each in entries if _is_written(each.get("metadata"))):
        for stream, values in metadata.items():
            if _is_written(values) and _KEYS in values and stream not in said:
                said.add(stream)
                if values[_KEYS] == []:
                    yield f"rows of {stream!r} have no key", "give them one", values.at(_KEYS)


def _methods(entries: list[YamlMap]) -> Iterator[tuple[Any, Location]]:
    """Yield how a loader loads: what is configured, and then the defaults of its settings."""
    for config in (each["config"] for each in entries if _is_written(each.get("config"))):
        if _METHOD in config:
            yield config[_METHOD], config.at(_METHOD)
    for settings in (each.get("settings") for each in entries):
        for setting in settings if isinstance(settings, list) else ():
            if _is_written(setting) and setting.get("name") == _METHOD and "value" in setting:
                yield setting["value"], setting.at("value")


def _is_written(part: Any) -> TypeGuard[YamlMap]:
    """Return whether a part stands in the project's files: a lock file has no lines."""
    return isinstance(part, YamlMap)
