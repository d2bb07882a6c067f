"""Merges parts of a pod the way Kubernetes merges: lists of named things by their names.

Source: "strategic merge patch",
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/, with
the keys of the API reference of PodSpec, Container and ObjectMeta. Of ports and of topology spread
constraints it names two for server-side apply, and only the first for patches: here both count, as
53/UDP would else replace 53/TCP. A volume has one source, so that a new one replaces the other:
`retainKeys` there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
"""By which of their keys the items of such lists are the same."""
_DEFAULTS = {"protocol": "TCP"}
_VOLUMES = "volumes"
_FREE_KEYS = ("labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests")


def merge_pods(
    pod: Mapping[str, Any], override: Mapping[str, Any], *, keep_removals: bool = False
) -> dict[str, Any]:
    """Return a pod, or a part of one, with another laid over it.

    Mappings merge key by key, and `null` removes a key. Of lists, those whose items have a merge
    key, such as containers and variables by their names, merge item by item: what is there keeps
    its place, what is new follows, so that a new variable may refer to those before it. A volume
    gets another source in place of the one that it has. Every other list and value replaces.

    Args:
        pod: What is there; it stays as it is.
        override: What wins.
        keep_removals: Whether a `null` stays, for a pod that both are to be laid over. What the
            first takes away and the second gives again is then merged with the pod's.
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
    """Return a volume without the source that it has, if it is to get another."""
    if all(key == "name" or value is None for key, value in override.items()):
        return volume
    return {key: value for key, value in volume.items() if key in override}


def item_name(key: str, item: Any, index: int) -> str:
    """Return what tells an item of a list from the others: what it merges by, or its number.

    Args:
        key: That of the list.
        item: The item.
        index: Where it stands, from 0.
    """
    names = MERGE_KEYS.get(key)
    if names is None or not _is_named(item, names):
        return str(index)
    return "/".join(map(str, _identity(key, item)))


def unmergeable(part: Any) -> Iterator[str]:
    """Yield what of a part of a pod cannot be merged: items without what they merge by."""
    if isinstance(part, list):
        for item in part:
            yield from unmergeable(item)
    if not isinstance(part, Mapping):
        return
    for key, value in part.items():
        names = MERGE_KEYS.get(key)
        if key.startswith("$"):
            yield f"`{key}`, which only kubectl knows; set what should go to `null`"
        elif names and value is not None and not _are_named(value, names):
            needed = " and a ".join(f"`{name}`" for name in names if name not in _DEFAULTS)
            yield f"`{key}` that is no list of items with a {needed} each"
        elif key not in _FREE_KEYS:
            yield from unmergeable(value)


def _are_named(items: Any, names: tuple[str, ...]) -> bool:
    return isinstance(items, list) and all(_is_named(item, names) for item in items)


def _is_named(item: Any, names: tuple[str, ...]) -> bool:
    if not isinstance(item, Mapping):
        return False
    values = (item.get(name) or _DEFAULTS.get(name) for name in names)
    return all(isinstance(value, str | int) for value in values)
