"""Merge parts of a pod the way Kubernetes merges: the items of some lists merge by a key.

Source: "strategic merge patch",
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/, with
the keys of the API reference of PodSpec, Container and ObjectMeta. For ports and for topology
spread constraints, it names two keys for server-side apply and only the first for patches. Here
both count: otherwise 53/UDP would replace 53/TCP. A volume has one source, so a new source replaces
the old one (`retainKeys` in the reference).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dag_factory.errors import InvalidValueError

MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
}
"""The keys that identify an item in each of these lists."""
_DEFAULTS = {"protocol": "TCP"}
_VOLUMES = "volumes"
_FREE_KEYS = ("labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests")


def merge_pods(
    pod: Mapping[str, Any], override: Mapping[str, Any], *, keep_removals: bool = False
) -> dict[str, Any]:
    """Return a pod, or a part of one, merged with an override.

    Mappings merge key by key, and `null` removes a key. Lists whose items have a merge key, such as
    containers and variables, merge item by item: existing items keep their places and new ones
    follow, so a new variable may refer to the variables before it. A volume gets the new source
    instead of the old one. Every other list and value is replaced.

    Args:
        pod: The pod; it is not changed.
        override: The part that overrides the pod.
        keep_removals: Whether a `null` stays, because the result itself will override a pod. What
            the first part removes and the second adds again is then merged with the pod's.
    """
    merged = dict(pod)
    for key, value in override.items():
        if isinstance(value, Mapping):
            earlier = merged.get(key)
            below = earlier if isinstance(earlier, Mapping) else {}
            merged[key] = merge_pods(below, value, keep_removals=keep_removals)
        elif key in MERGE_KEYS and isinstance(value, list):
            items = {_identity(key, item): item for item in merged.get(key) or ()}
            for item in value:
                name = _identity(key, item)
                below = items.get(name, {})
                below = _without_source(below, item) if key == _VOLUMES else below
                items[name] = merge_pods(below, item, keep_removals=keep_removals)
            merged[key] = list(items.values())
        elif value is None and not keep_removals:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def _identity(key: str, item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) or _DEFAULTS.get(name) for name in MERGE_KEYS[key])


def _without_source(volume: Mapping[str, Any], override: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a volume without its source, if the override has a source."""
    if all(key == "name" or value is None for key, value in override.items()):
        return volume
    return {key: value for key, value in volume.items() if key in override}


def item_name(key: str, item: Any, index: int) -> str:
    """Return what identifies an item of a list: the values of its merge keys, or its index.

    Args:
        key: The key of the list.
        item: The item.
        index: The index of the item, from 0.
    """
    names = MERGE_KEYS.get(key)
    if names is None or not _is_named(item, names):
        return str(index)
    return "/".join(map(str, _identity(key, item)))


def check_mergeable(part: Any) -> None:
    """Reject a part of a pod that cannot be merged: list items without their merge keys."""
    if isinstance(part, list):
        for item in part:
            check_mergeable(item)
    if not isinstance(part, Mapping):
        return
    for key, value in part.items():
        names = MERGE_KEYS.get(key)
        if key.startswith("$"):
            hint = "to remove a key, set its value to `null`"
            reason = f"has `{key}`: the directives of kubectl are not supported"
            raise InvalidValueError(reason, hint)
        if names and value is not None and not _are_named(value, names):
            needed = " and a ".join(f"`{name}`" for name in names if name not in _DEFAULTS)
            form = f"a list of items with a {needed} each"
            raise InvalidValueError(f"has `{key}`, which must be {form}")
        if key not in _FREE_KEYS:
            check_mergeable(value)


def _are_named(items: Any, names: tuple[str, ...]) -> bool:
    return isinstance(items, list) and all(_is_named(item, names) for item in items)


def _is_named(item: Any, names: tuple[str, ...]) -> bool:
    if not isinstance(item, Mapping):
        return False
    values = (item.get(name) or _DEFAULTS.get(name) for name in names)
    return all(isinstance(value, str | int) for value in values)
