"""How the values of the options of pods are read; what is wrong with one is a ValueError's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dag_factory.errors import guess
from dag_factory.option_values import line, mapping
from dag_factory.pod_merge import unnamed_items

BASE = "base"
"""The name of the container that runs Meltano, as in Airflow's KubernetesPodOperator."""
LAUNCHING = (
    *("kubernetes_conn_id", "in_cluster", "cluster_context", "config_file", "namespace"),
    *("startup_timeout_seconds", "schedule_timeout_seconds", "startup_check_interval_seconds"),
    *("poll_interval", "logging_interval"),
)
"""The arguments of KubernetesPodOperator that no option has, and that are no part of the pod."""
# https://github.com/distribution/reference: a host, a path, and a tag or a digest or both.
_IMAGE = re.compile(
    r"[\w.-]+(?::\d+)?(?:/[\w.-]+)*(?::(?P<tag>[\w][\w.-]{0,127}))?(?P<digest>@[\w+.-]+:[0-9a-f]{32,})?",
    re.ASCII,
)
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"\d+(?:\.\d+)?(?:[EPTGMk]i?|Ki|[num]|e\d+)?", re.ASCII)
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_LABEL_KEY = re.compile(r"(?:[a-z0-9.-]+/)?[A-Za-z0-9][\w.-]{0,62}", re.ASCII)
_KINDS = ("requests", "limits")
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
_POD = ("metadata", "spec")


def image(value: Any) -> str:
    """Read the name of an image."""
    found = line(value)
    if not _IMAGE.fullmatch(found):
        raise ValueError("is no image such as registry.example.com/meltano:1.4.2")
    return found


def is_pinned(name: str) -> bool:
    """Return whether an image has a digest, or a tag that is not `latest`."""
    match = _IMAGE.fullmatch(name)
    return match is not None and (bool(match["digest"]) or match["tag"] not in (None, "latest"))


def image_version(name: str) -> str:
    """Return the tag of an image, or else the beginning of its digest."""
    match = _IMAGE.fullmatch(name)
    if match is None:
        return ""
    return match["tag"] or (match["digest"] or "").rpartition(":")[2][:12]


def resources(value: Any) -> Mapping[str, Mapping[str, str]]:
    """Read `{requests: {cpu: 500m, memory: 1Gi}, limits: {...}}`."""
    if not isinstance(value, dict) or not value or not set(value) <= set(_KINDS):
        raise ValueError("is not {requests: {cpu: ..., memory: ...}, limits: {...}}")
    return {kind: _quantities(kind, quantities) for kind, quantities in value.items()}


def _quantities(kind: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"has `{kind}`, which is not {{cpu: 500m, memory: 1Gi}}")  # noqa: TRY004
    for name, quantity in value.items():
        is_number = isinstance(quantity, int | float | str) and not isinstance(quantity, bool)
        if not isinstance(name, str) or not is_number or not _QUANTITY.fullmatch(str(quantity)):
            raise ValueError(
                f"has `{kind}: {name}: {quantity}`, which is no quantity like 500m, 1Gi"
            )
    return {name: str(quantity) for name, quantity in value.items()}


def object_name(value: Any) -> str:
    """Read the name of an object of Kubernetes, such as a service account."""
    found = line(value)
    if not _OBJECT_NAME.fullmatch(found):
        raise ValueError("is no name in Kubernetes: lower-case letters, digits, - and .")
    return found


def labels(value: Any) -> Mapping[str, str]:
    """Read labels of nodes: their values are text, and `true` or a number is to be quoted."""
    found = mapping(value)
    for name, text in found.items():
        if not _LABEL_KEY.fullmatch(name):
            raise ValueError(f"has {name!r}, which is no label's name")
        if not isinstance(text, str):
            raise ValueError(f"has a value for {name} that is no text; quote it")  # noqa: TRY004
    return found


def tolerations(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Read a list of tolerations: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("is no list of {key: ..., operator: Exists, effect: NoSchedule}")
    for item in value:
        if unknown := [key for key in item if key not in _TOLERATION]:
            hint = guess(unknown[0], _TOLERATION, f"it has {', '.join(_TOLERATION)}")
            raise ValueError(f"has {unknown[0]!r} in a toleration; {hint}")
    return tuple(mapping(item) for item in value)


def pod_override(value: Any) -> Mapping[str, Any]:
    """Read a part of a pod, which is laid over the one that the runner makes."""
    found = mapping(value)
    if unknown := [key for key in found if key not in _POD]:
        raise ValueError(f"has {unknown[0]!r}; a pod has metadata and spec")
    for wrong in unnamed_items(found):
        raise ValueError(f"has {wrong}; the container {BASE!r} is Meltano's")
    return found
