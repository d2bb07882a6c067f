"""Keys of `pod_override` that Kubernetes does not know, and would pass over in silence.

Source: the models of its Python client, which are made from the API's own description.
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
_OF_MANY = re.compile(r"(?:list\[|dict\(str, |dict\[str, )(.+)[\])]")


def pod_problems(planned: PlannedProject) -> Iterator[Problem]:
    """Yield a problem for each key of a `pod_override` that Kubernetes does not know."""
    for plan in planned.plans:
        pods = {task.task_id: task.options.pod_override for task in plan.tasks}
        places = planned.option_sources(plan).of_tasks if any(pods.values()) else {}
        for task_id, pod in pods.items():
            for path, known in _unknown(pod, "V1Pod", ()):
                place = _place(places[task_id], path)
                message = f"job {plan.job!r}: {_OPTION}: Kubernetes knows no {'.'.join(path)}"
                hint = guess(path[-1], known, "remove it, or correct where it stands")
                yield Problem(Code.UNKNOWN_POD_KEY, place, message, hint)


def _unknown(
    part: Any, kind: str, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the path of each unknown key, and the keys that are known there."""
    many = _OF_MANY.fullmatch(kind)
    if many and isinstance(part, list):
        for index, item in enumerate(part):
            yield from _unknown(item, many[1], (*path, item_name(path[-1], item, index)))
    elif many and isinstance(part, Mapping):
        for key, value in part.items():
            yield from _unknown(value, many[1], (*path, key))
    elif isinstance(part, Mapping) and (model := getattr(models, kind, None)):
        kinds = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
        for key, value in part.items():
            if key in kinds:
                yield from _unknown(value, kinds[key], (*path, key))
            else:
                yield (*path, key), tuple(kinds)


def _place(places: Mapping[str, tuple[Location, ...]], path: tuple[str, ...]) -> Location:
    return places[".".join((_OPTION, *path))][-1]
