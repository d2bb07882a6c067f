"""How the values of the options of pods are read; an `InvalidValueError` says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from dag_factory.errors import InvalidValueError, guess
from dag_factory.options.pod_merge import check_mergeable
from dag_factory.options.values import line, mapping, one_of, read_part, whole, wrong_value

BASE_CONTAINER = "base"
"""The name of the container that runs Meltano, as in Airflow's KubernetesPodOperator."""
EXAMPLE_IMAGE = "registry.example.com/meltano:1.4.2"
"""The name of an image with a version, for messages."""
MANAGED_BY = {"app.kubernetes.io/managed-by": "meltano-dag-factory"}
"""The label of every pod that this package starts."""
IDENTITY_LABELS = ("meltano_job", "meltano_environment")
"""The labels by which a task finds its pod, besides Airflow's: environments share namespaces."""
_AIRFLOW_LABELS = ("already_checked", "airflow-worker")
"""Labels that mark a pod as not, or no longer, belonging to a task of Airflow."""
LOWER_REQUEST_HINT = "request less, or raise the limit"
"""What to do about a request above its limit."""
POD_LAUNCH_ARGUMENTS = (
    *("kubernetes_conn_id", "in_cluster", "cluster_context", "config_file", "namespace"),
    *("startup_timeout_seconds", "schedule_timeout_seconds", "startup_check_interval_seconds"),
    *("poll_interval", "logging_interval"),
)
"""The arguments of KubernetesPodOperator that neither an option nor `pod_override` sets."""
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
_BELOW_A_BYTE = ("n", "u", "m")
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
_POD_KEYS = ("metadata", "spec")
_GRACE_PERIOD = "terminationGracePeriodSeconds"


def image(value: Any) -> str:
    """Read the name of an image."""
    found = line(value)
    if not is_image(found):
        raise wrong_value(f"the name of an image such as {EXAMPLE_IMAGE}", value)
    return found


def is_image(name: str) -> bool:
    """Return whether a text can be the name of an image."""
    return _IMAGE.fullmatch(name) is not None


def is_pinned(name: str) -> bool:
    """Return whether an image has a digest, or a tag that is not `latest`."""
    match = _IMAGE.fullmatch(name)
    return match is not None and (bool(match["digest"]) or match["tag"] not in (None, "latest"))


def image_version(name: str) -> str:
    """Return the tag of an image; without a tag, the beginning of its digest."""
    match = _IMAGE.fullmatch(name)
    if match is None:
        return ""
    return match["tag"] or (match["digest"] or "").rpartition(":")[2][:12]


def resources(value: Any) -> Mapping[str, Mapping[str, str]]:
    """Read `{requests: {cpu: 500m, memory: 1Gi}, limits: {...}}`."""
    if not isinstance(value, dict) or not value or not set(value) <= set(_KINDS):
        raise wrong_value("{requests: {cpu: ..., memory: ...}, limits: {...}}", value)
    found = {kind: _quantities(kind, quantities) for kind, quantities in value.items()}
    for name in above_limits(found):
        request, limit = (found[kind][name] for kind in _KINDS)
        reason = f"has `requests: {name}: {request}`, which is above the limit {limit}"
        raise InvalidValueError(reason, LOWER_REQUEST_HINT)
    return found


def above_limits(resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the names of the requests above their limits: Kubernetes rejects such a pod."""
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
        wrong = wrong_value("{cpu: 500m, memory: 1Gi}", value)
        raise InvalidValueError(f"has `{kind}`, which {wrong.reason}")
    for name, quantity in value.items():
        is_number = isinstance(quantity, int | float | str) and not isinstance(quantity, bool)
        if not isinstance(name, str) or not is_number or not _QUANTITY.fullmatch(str(quantity)):
            wrong = wrong_value("a quantity such as 500m or 1Gi", quantity)
            raise InvalidValueError(f"has `{kind}: {name}`, which {wrong.reason}")
        if name == "memory" and str(quantity).endswith(_BELOW_A_BYTE):
            raise InvalidValueError(
                f"has `{kind}: {name}: {quantity}`, a fraction of a byte", "write Mi or Gi"
            )
    return {name: str(quantity) for name, quantity in value.items()}


def object_name(value: Any) -> str:
    """Read the name of an object of Kubernetes, such as a service account."""
    if not _OBJECT_NAME.fullmatch(line(value)):
        form = "a name in Kubernetes (lower-case letters, digits, - and .)"
        raise wrong_value(form, value)
    return str(value)


def labels(value: Any) -> Mapping[str, str]:
    """Read labels of nodes; their values are text, so `true` or a number must be quoted."""
    found = mapping(value)
    for name, each in found.items():
        if not _LABEL_KEY.fullmatch(name):
            raise InvalidValueError(f"has {name!r}, which is not the name of a label")
        if not isinstance(each, str):
            raise InvalidValueError(
                f"has the label {name}, whose value must be a string", "put quotes around the value"
            )
        if not _LABEL_VALUE.fullmatch(each):
            raise InvalidValueError(
                f"has the label {name} with the value {each!r}",
                "the value of a label has up to 63 letters, digits, -, _ or .; the first and the "
                "last are letters or digits; correct it",
            )
    return found


def tolerations(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Read a list of tolerations."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        form = "a list of {key: ..., operator: Exists, effect: NoSchedule}"
        raise wrong_value(form, value)
    return tuple(map(_toleration, value))


def _toleration(value: Any) -> Mapping[str, Any]:
    found = mapping(value)
    for key, each in found.items():
        if key not in _TOLERATION:
            hint = guess(key, _TOLERATION, f"the keys are {', '.join(_TOLERATION)}")
            raise InvalidValueError(f"has {key!r} in a toleration", hint)
        where = f"has a toleration whose {key}"
        if key in _TOLERATION_WORDS:
            read_part(where, one_of(_TOLERATION_WORDS[key]), each)
        elif key == "tolerationSeconds":
            if not isinstance(each, int) or isinstance(each, bool):
                raise InvalidValueError(f"{where} must be a whole number")
        elif not isinstance(each, str):
            raise InvalidValueError(f"{where} must be a string", "quote it")
    return found


def pod_override(value: Any) -> Mapping[str, Any]:
    """Read a part of a pod, which is merged into the pod that the runner makes."""
    found = mapping(value)
    for key, part in found.items():
        if key not in _POD_KEYS:
            raise InvalidValueError(f"has {key!r}", "write it below `spec` or `metadata`")
        if not isinstance(part, dict):
            raise InvalidValueError(f"has `{key}`, which must be a mapping")
    check_mergeable(found)
    _check_not_reserved(found)
    grace_period = found.get("spec", {}).get(_GRACE_PERIOD)
    if grace_period is not None:
        read_part(f"has `{_GRACE_PERIOD}`, which", whole(0), grace_period)
    return found


def _check_not_reserved(pod: Mapping[str, Any]) -> None:
    """Reject what an override must leave to the runner."""
    metadata, spec = (pod.get(key, {}) for key in _POD_KEYS)
    _check_metadata(metadata)
    if "restartPolicy" in spec:
        hint = "remove it; the option `retries` says how often a task is retried"
        raise InvalidValueError("has a `restartPolicy`", hint)
    if "containers" in spec and spec["containers"] is None:
        reason = f"sets `containers` to null, also the container {BASE_CONTAINER!r} of Meltano"
        raise InvalidValueError(reason, "remove `containers`")
    for container in spec.get("containers") or ():
        if container["name"] == BASE_CONTAINER:
            _check_base_container(container)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    if "name" in metadata:
        raise InvalidValueError("has a name", "remove it; each attempt has a pod of its own")
    if "namespace" in metadata:
        raise InvalidValueError("has a namespace", "write `operator: {namespace: ...}` instead")
    labels = metadata.get("labels", {})
    if not isinstance(labels, Mapping):
        hint = "to remove labels, set each to `null`"
        raise InvalidValueError("has `labels`, which must be a mapping", hint)
    for name in (*MANAGED_BY, *IDENTITY_LABELS, *_AIRFLOW_LABELS):
        if name in labels:
            hint = "remove it; a task finds its pods by it"
            raise InvalidValueError(f"has the label {name}", hint)


def _check_base_container(container: Mapping[str, Any]) -> None:
    if "image" in container:
        raise InvalidValueError(f"has an image for {BASE_CONTAINER!r}", "use the option `image`")
    if "args" in container:
        reason = f"has args for {BASE_CONTAINER!r}"
        raise InvalidValueError(reason, "remove them; the run sets its own")
    resources = container.get("resources", {})
    if not isinstance(resources, Mapping) or {*_KINDS} & {*resources}:
        reason = f"has `resources` for {BASE_CONTAINER!r}"
        raise InvalidValueError(reason, "use the option `resources`, except for `claims`")
