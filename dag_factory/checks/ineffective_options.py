"""Options of a job or a task that do not have the effect they seem to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from dag_factory.errors import Code, Location, Problems
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.pod_values import BASE_CONTAINER
from dag_factory.project.model import Environment, Project
from dag_factory.project.plugins import Plugin

_DATABASE = "MELTANO_DATABASE_URI"
_SHARED = (_DATABASE, "MELTANO_STATE_BACKEND_URI")
_METHOD = "load_method"
_APPEND = "append-only"
_KEY_PROPERTIES = "table-key-properties"
# These addresses are of files in the pod, or of the state backend in the system database.
_NOT_SHARED = ("sqlite", "file:", "systemdb")


def check_shared_database(
    project: Project,
    environment: Environment,
    options: TaskOptions,
    place: Location,
    problems: Problems,
) -> None:
    """Warn if pods share neither a system database nor a state backend.

    Meltano keeps bookmarks in its system database, and the lock that keeps two runs of a state ID
    apart. By default, the database is a file that ends with the pod:
    https://docs.meltano.com/concepts/project#system-database. The content of a Secret, or of a
    secret whose keys are environment variables, is unknown here: it may be the database.

    Args:
        project: The project.
        environment: The Meltano environment that the pods run in.
        options: The options of a task that runs in a pod.
        place: The location that makes the task a pod.
        problems: Collects the warning.
    """
    backend = project.data.get("state_backend")
    addresses = [
        project.data.get("database_uri"),
        project.data.get("state_backend.uri"),
        backend.get("uri") if isinstance(backend, Mapping) else None,
    ]
    for env in (entry.get("env") for entry in (project.data, environment.entry)):
        addresses += [env.get(each) for each in _SHARED] if isinstance(env, Mapping) else ()
    containers = _containers(options.pod_override)
    base = next((each for each in containers if each["name"] == BASE_CONTAINER), {})
    for variable in base.get("env") or ():
        if variable["name"] in _SHARED:
            addresses.append(variable.get("value") or variable.get("valueFrom"))
    is_shared = any(each and not str(each).startswith(_NOT_SHARED) for each in addresses)
    secrets_of_variables = {*options.secrets.names} - {each.name for each in project.plugins}
    if not (is_shared or base.get("envFrom") or secrets_of_variables):
        message = (
            f"pods of {environment.name!r} share neither a system database nor a state backend,"
            " so their bookmarks are lost"
        )
        hint = f"give them {_DATABASE}, such as from a Secret by envFrom in `pod_override`"
        problems.add(Code.NO_SHARED_DATABASE, place, message, hint)


def check_secrets_prefix(
    options: TaskOptions,
    prefix: str | None,
    places: Mapping[str, tuple[Location, ...]],
    problems: Problems,
) -> None:
    """Warn if a pod reads no `secrets` because the prefix of their names is not set.

    A process of the local runner has the project's `.env` instead; a pod does not.

    Args:
        options: The options of a task that runs in a pod.
        prefix: The beginning of the names of secrets.
        places: The locations of the options.
        problems: Collects the warning.
    """
    if (options.secrets.names or options.given_secrets) and not prefix:
        *_, place = places["secrets"]
        message = "pods do not read `secrets`, because DAG_FACTORY_SECRETS_PREFIX is not set"
        hint = "set it where DAGs are parsed and checked, or remove the option"
        problems.add(Code.NO_SECRETS_PREFIX, place, message, hint)


def check_deadline_recipients(
    options: DagOptions, places: Mapping[str, tuple[Location, ...]], problems: Problems
) -> None:
    """Warn if a run has a deadline, but nobody is notified if it is missed.

    Args:
        options: The options of a job.
        places: The locations of the options.
        problems: Collects the warning.
    """
    mailed = options.email and "deadline" in options.email_on
    if options.deadline and not mailed and not any("deadline" in n.events for n in options.notify):
        *_, place = places["deadline"]
        message = "nobody is notified of a missed `deadline`"
        hint = "set `email`, with deadline in its `email_on`, or `notify`; or remove the deadline"
        problems.add(Code.UNNOTIFIED_DEADLINE, place, message, hint)


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (pod.get("spec") or {}).get("containers") or []


def check_lasting_containers(
    options: TaskOptions, places: Mapping[str, tuple[Location, ...]], problems: Problems
) -> None:
    """Warn of each container besides Meltano's that could keep a pod from ending.

    A pod ends when all its containers have ended, except `initContainers` with
    `restartPolicy: Always`, which Kubernetes then stops:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/.

    Args:
        options: The options of a task that runs in a pod.
        places: The locations of the options and of their items.
        problems: Collects the warnings.
    """
    for name in (each["name"] for each in _containers(options.pod_override)):
        if name != BASE_CONTAINER:
            *_, place = places[f"pod_override.spec.containers.{name}.name"]
            message = f"a task waits for its container {name!r} until that ends by itself"
            hint = "move it to `initContainers`, with `restartPolicy: Always` (Kubernetes 1.29)"
            problems.add(Code.LASTING_CONTAINER, place, message, hint)


def check_row_keys(plugins: Iterable[Plugin], environment: Environment, problems: Problems) -> None:
    """Warn of each place that leaves rows without a key, for tasks that are retried.

    A retry loads again what came after the last bookmark. With keys, these rows replace the rows of
    the failed attempt; without keys, they are loaded twice.

    Args:
        plugins: The plugins of a task.
        environment: The Meltano environment that the task runs in.
        problems: Collects the warnings.
    """
    for plugin in plugins:
        entries = (*environment.configured(plugin), *plugin.definition)
        for what, cure, place in _keyless(plugin, [each for each in entries if _is_written(each)]):
            message = f"{plugin.name!r}: {what}, so a task that is retried loads some twice"
            hint = f"{cure}, set `retries: 0`, or accept it"
            problems.add(Code.NO_KEYS, place, message, hint)


def _keyless(plugin: Plugin, entries: list[YamlMap]) -> Iterator[tuple[str, str, Location]]:
    """Yield what has no key, what to do, and the first place that says so."""
    if plugin.type == "loaders":
        method, place = next(_methods(entries), (None, plugin.location))
        if method == _APPEND:
            yield "it appends rows", f"set {_METHOD} to upsert", place
    if plugin.type != "extractors":
        return
    seen: set[str] = set()
    for metadata in (each["metadata"] for each in entries if _is_written(each.get("metadata"))):
        for stream, values in metadata.items():
            if _is_written(values) and _KEY_PROPERTIES in values and stream not in seen:
                seen.add(stream)
                if values[_KEY_PROPERTIES] == []:
                    place = values.at(_KEY_PROPERTIES)
                    yield f"rows of {stream!r} have no key", "give them one", place


def _methods(entries: list[YamlMap]) -> Iterator[tuple[Any, Location]]:
    """Yield the load methods of a loader: the configured ones, then the defaults of settings."""
    for config in (each["config"] for each in entries if _is_written(each.get("config"))):
        if _METHOD in config:
            yield config[_METHOD], config.at(_METHOD)
    for settings in (each.get("settings") for each in entries):
        for setting in settings if isinstance(settings, list) else ():
            if _is_written(setting) and setting.get("name") == _METHOD and "value" in setting:
                yield setting["value"], setting.at("value")


def _is_written(part: Any) -> TypeGuard[YamlMap]:
    """Return whether a part is from a file of the project: a lock file has no locations."""
    return isinstance(part, YamlMap)
