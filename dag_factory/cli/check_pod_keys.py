"""Finds keys of `pod_override` that Kubernetes does not know, and would silently ignore.

Source: the models of its Python client, which are generated from the description of the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes.client import models

from dag_factory.errors import Code, Location, Problem, guess
from dag_factory.options.pod_merge import item_name
from dag_factory.planning.planned_project import PlannedProject

_OPTION = "pod_override"
_COLLECTION = re.compile(r"(?:list\[|dict\(str, |dict\[str, )(.+)[\])]")


def pod_problems(planned: PlannedProject) -> Iterator[Problem]:
    """Yield a problem for each key of a `pod_override` that Kubernetes does not know."""
    for plan in planned.plans:
        pods = {task.task_id: task.options.pod_override for task in plan.tasks}
        places = planned.option_sources(plan).of_tasks if any(pods.values()) else {}
        for task_id, pod in pods.items():
            for path, known in _unknown(pod, "V1Pod", ()):
                place = _place(places[task_id], path)
                message = f"job {plan.job!r}: {_OPTION}: Kubernetes has no key {'.'.join(path)}"
                hint = guess(path[-1], known, "remove it, or move it to where it belongs")
                yield Problem(Code.UNKNOWN_POD_KEY, place, message, hint)


def _unknown(
    part: Any, kind: str, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the path of each unknown key, and the keys that are known in its place."""
    collection = _COLLECTION.fullmatch(kind)
    if collection and isinstance(part, list):
        for index, item in enumerate(part):
            yield from _unknown(item, collection[1], (*path, item_name(path[-1], item, index)))
    elif collection and isinstance(part, Mapping):
        for key, value in part.items():
            yield from _unknown(value, collection[1], (*path, key))
    elif isinstance(part, Mapping) and (model := getattr(models, kind, None)):
        kinds = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
        for key, value in part.items():
            if key in kinds:
                yield from _unknown(value, kinds[key], (*path, key))
            else:
                yield (*path, key), tuple(kinds)


def _place(places: Mapping[str, tuple[Location, ...]], path: tuple[str, ...]) -> Location:
    return places[".".join((_OPTION, *path))][-1]
