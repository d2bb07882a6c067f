"""Warnings of jobs whose rows could double, or whose runs nothing keeps apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dag_factory.errors import Code, Location, Problem
from dag_factory.options import TaskOptions
from dag_factory.plugins import Plugin
from dag_factory.project import Environment, Project
from dag_factory.yaml_files import YamlMap

_DATABASE = "MELTANO_DATABASE_URI"
_STATE = "MELTANO_STATE_BACKEND_URI"
_APPEND = "append-only"


def no_shared_database(
    project: Project, environment: Environment, options: TaskOptions, place: Location
) -> Iterator[Problem]:
    """Yield a warning where pods have no system database or state backend in common.

    Meltano keeps bookmarks, and the lock that keeps two runs of a state ID apart, in its system
    database, by default a file that ends with the pod:
    https://docs.meltano.com/guide/production#meltanos-system-database.

    Args:
        project: The project.
        environment: The Meltano environment that pods run in.
        options: Those of one task that runs in a pod.
        place: Where it is said that it does.
    """
    blocks = [entry.get("env") for entry in (project.data, environment.entry)]
    named = {name for block in blocks if isinstance(block, Mapping) for name in block}
    backend = project.data.get("state_backend")
    known = (
        project.data.get("database_uri"),
        project.data.get("state_backend.uri"),
        isinstance(backend, Mapping) and backend.get("uri"),
        named & {_DATABASE, _STATE},
        _is_in_pods(options.pod_override),
    )
    if not any(known):
        message = f"pods of {environment.name!r} share no system database, and no state backend"
        hint = f"give them {_DATABASE}, as docs/kubernetes.md says; their bookmarks would be lost"
        yield Problem(Code.NO_SHARED_DATABASE, place, message, hint)


def _is_in_pods(pod: Mapping[str, Any]) -> bool:
    containers = (pod.get("spec") or {}).get("containers") or []
    names = {each["name"] for container in containers for each in container.get("env") or []}
    return bool(names & {_DATABASE, _STATE}) or any(each.get("envFrom") for each in containers)


def without_keys(plugins: Iterable[Plugin], environment: Environment) -> Iterator[Problem]:
    """Yield a warning for each place that says that rows have no key, for tasks that are retried.

    A run that is tried again loads again what came after the last bookmark: with keys the rows
    replace those that are there, without them they stand twice.

    Args:
        plugins: Those of a task.
        environment: The Meltano environment that it runs in.
    """
    hint = "give the stream keys, or set `retries: 0`, or bear rows that stand twice"
    for plugin in plugins:
        for entry in (*environment.configured(plugin), *plugin.definition):
            if not isinstance(entry, YamlMap):
                continue
            for stream, place in _keyless(plugin, entry):
                message = f"{plugin.name!r}: {stream}, and its tasks are tried again"
                yield Problem(Code.NO_KEYS, place, message, hint)


def _keyless(plugin: Plugin, entry: YamlMap) -> Iterator[tuple[str, Location]]:
    metadata, config = entry.get("metadata"), entry.get("config")
    if plugin.type == "extractors" and isinstance(metadata, YamlMap):
        for stream, values in metadata.items():
            if isinstance(values, YamlMap) and values.get("table-key-properties") == []:
                place = values.at("table-key-properties")
                yield f"the stream {stream!r} has no key", place
    if plugin.type != "loaders" or not isinstance(config, YamlMap):
        return
    if config.get("load_method") == _APPEND:
        yield "it appends rows", config.at("load_method")
