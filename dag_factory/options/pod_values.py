"""How the values of the options of pods are read; what is wrong with one is a ValueError's text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any

from dag_factory.errors import guess
from dag_factory.options.pod_merge import unmergeable
from dag_factory.options.values import line, mapping, whole

BASE = "base"
"""The name of the container that runs Meltano, as in Airflow's KubernetesPodOperator."""
AN_IMAGE = "registry.example.com/meltano:1.4.2"
"""An image as it should be, for messages."""
MANAGED_BY = {"app.kubernetes.io/managed-by": "meltano-dag-factory"}
"""The label of every pod that this package starts."""
WHOSE = ("meltano_job", "meltano_environment")
"""The labels by which a task finds its pod, beside Airflow's: environments share namespaces."""
_OF_AIRFLOW = ("already_checked", "airflow-worker")
"""Labels that tell Airflow that a pod is no task's, or no longer."""
LESS = "request less, or raise the limit"
"""What to do about a request above its limit."""
LAUNCHING = (
    *("kubernetes_conn_id", "in_cluster", "cluster_context", "config_file", "namespace"),
    *("startup_timeout_seconds", "schedule_timeout_seconds", "startup_check_interval_seconds"),
    *("poll_interval", "logging_interval"),
)
"""The arguments of KubernetesPodOperator that no option has, and that are no part of the pod."""
# https://github.com/distribution/reference: a host, a path, and a tag or a digest or both.
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::\d+)?/)?[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@[\w+.-]+:[0-9a-f]{32,})?",
    re.ASCII,
)
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(
    r"(?:\d+\.?\d*|\.\d+)(?:(?P<unit>[KMGTPE]i|[numkMGTPE])|[eE][+-]?\d{1,2})?", re.ASCII
)
_UNITS = {unit: Decimal(1000) ** power for power, unit in enumerate("num-kMGTPE", -3)}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)}
_OF_A_BYTE = ("n", "u", "m")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_LABEL = r"[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"(?:[a-z0-9.-]{{1,253}}/)?{_LABEL}", re.ASCII)
_LABEL_VALUE = re.compile(rf"(?:{_LABEL})?", re.ASCII)
_KINDS = ("requests", "limits")
# https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
_TOLERATION_WORDS = {
    "operator": ("Exists", "Equal"),
    "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
}
_POD = ("metadata", "spec")
_GRACE = "terminationGracePeriodSeconds"


def image(value: Any) -> str:
    """Read the name of an image."""
    found = line(value)
    if not is_image(found):
        raise ValueError(f"is no image such as {AN_IMAGE}")
    return found


def is_image(name: str) -> bool:
    """Return whether a text can be the name of an image."""
    return _IMAGE.fullmatch(name) is not None


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
    found = {kind: _quantities(kind, quantities) for kind, quantities in value.items()}
    for name in above_limits(found):
        request, limit = (found[kind][name] for kind in _KINDS)
        raise ValueError(f"has `requests: {name}: {request}`, above its limit {limit}; {LESS}")
    return found


def above_limits(resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the names of what is requested beyond its limit: Kubernetes refuses such a pod."""
    requests, limits = (resources.get(kind, {}) for kind in _KINDS)
    for name in requests:
        if name in limits and _number(requests[name]) > _number(limits[name]):
            yield name


def _number(quantity: str) -> Decimal:
    match = _QUANTITY.fullmatch(quantity)
    unit = match["unit"] if match else None
    return Decimal(quantity.removesuffix(unit)) * _UNITS[unit] if unit else Decimal(quantity)


def _quantities(kind: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"has `{kind}`, which is not {{cpu: 500m, memory: 1Gi}}")  # noqa: TRY004
    for name, quantity in value.items():
        is_number = isinstance(quantity, int | float | str) and not isinstance(quantity, bool)
        written = f"has `{kind}: {name}: {quantity}`"
        if not isinstance(name, str) or not is_number or not _QUANTITY.fullmatch(str(quantity)):
            raise ValueError(f"{written}, which is no quantity such as 500m or 1Gi")
        if name == "memory" and str(quantity).endswith(_OF_A_BYTE):
            raise ValueError(f"{written}, which are parts of a byte; write Mi or Gi")
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
        if not _LABEL_VALUE.fullmatch(text):
            raise ValueError(f"has {text!r} for {name}, which is no label's value")
    return found


def tolerations(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Read a list of tolerations."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("is no list of {key: ..., operator: Exists, effect: NoSchedule}")
    return tuple(map(_toleration, value))


def _toleration(value: Any) -> Mapping[str, Any]:
    found = mapping(value)
    for key, each in found.items():
        if key not in _TOLERATION:
            hint = guess(key, _TOLERATION, f"it has {', '.join(_TOLERATION)}")
            raise ValueError(f"has {key!r} in a toleration; {hint}")
        if key == "tolerationSeconds":
            if not isinstance(each, int) or isinstance(each, bool):
                raise ValueError(f"has a toleration whose {key} are no whole number")
        elif not isinstance(each, str):
            raise ValueError(f"has a toleration whose {key} is no text; quote it")
        elif each not in _TOLERATION_WORDS.get(key, (each,)):
            known = ", ".join(_TOLERATION_WORDS[key])
            raise ValueError(f"has a toleration with {key}: {each}, which is none of {known}")
    return found


def pod_override(value: Any) -> Mapping[str, Any]:
    """Read a part of a pod, which is laid over the one that the runner makes."""
    found = mapping(value)
    for key, part in found.items():
        if key not in _POD:
            raise ValueError(f"has {key!r}; write it below `spec` or `metadata`")
        if not isinstance(part, dict):
            raise ValueError(f"has `{key}` that is no mapping")  # noqa: TRY004
    for wrong in chain(unmergeable(found), _not_to_override(found)):
        raise ValueError(f"has {wrong}")
    _check_grace(found.get("spec", {}).get(_GRACE))
    return found


def _not_to_override(pod: Mapping[str, Any]) -> Iterator[str]:
    metadata, spec = (pod.get(key, {}) for key in _POD)
    yield from _not_of_metadata(metadata)
    if "restartPolicy" in spec:
        yield "a `restartPolicy`; remove it, the option `retries` says how often a task is tried"
    if "containers" in spec and spec["containers"] is None:
        yield f"`containers` without {BASE!r}, which runs Meltano; remove it"
    for container in spec.get("containers") or ():
        if container["name"] == BASE:
            yield from _not_of_base(container)


def _not_of_metadata(metadata: Mapping[str, Any]) -> Iterator[str]:
    if "name" in metadata:
        yield "a name; remove it, each try has a pod of its own"
    if "namespace" in metadata:
        yield "a namespace; write `operator: {namespace: ...}` instead"
    labels = metadata.get("labels", {})
    if not isinstance(labels, Mapping):
        yield "`labels` that are no mapping; to remove some, name each"
        return
    for name in (*MANAGED_BY, *WHOSE, *_OF_AIRFLOW):
        if name in labels:
            yield f"the label {name}; remove it, a task finds its pods by it"


def _not_of_base(container: Mapping[str, Any]) -> Iterator[str]:
    if "image" in container:
        yield f"an image for {BASE!r}; use the option `image`"
    if "args" in container:
        yield f"args for {BASE!r}; remove them, a run has its own"
    resources = container.get("resources", {})
    if not isinstance(resources, Mapping) or {*_KINDS} & {*resources}:
        yield f"`resources` for {BASE!r}; use the option `resources`, but for their `claims`"


def _check_grace(seconds: Any) -> None:
    try:
        whole(0)(0 if seconds is None else seconds)
    except ValueError as error:
        raise ValueError(f"has `{_GRACE}: {seconds}`, which {error}") from None
