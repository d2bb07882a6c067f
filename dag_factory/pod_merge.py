"""Merges parts of a pod the way Kubernetes merges: lists of named things by their names.

Source: "strategic merge patch",
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/, with
the merge keys of the API reference of PodSpec, Container and ObjectMeta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ownerReferences": "uid",
}
"""By which of their keys the items of such lists are the same."""
_FREE_KEYS = ("labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests")


def merge_pods(
    pod: Mapping[str, Any], override: Mapping[str, Any], *, keep_removals: bool = False
) -> dict[str, Any]:
    """Return a pod, or a part of one, with another laid over it.

    Mappings merge key by key, and `null` removes a key. Of lists, those whose items have a merge
    key, such as containers and variables by their names, merge item by item: what is there keeps
    its place, what is new follows, so that a new variable may refer to those before it. Every other
    list and value replaces.

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
            name = MERGE_KEYS[key]
            items = {item[name]: item for item in merged.get(key) or ()}
            for item in value:
                below = items.get(item[name], {})
                items[item[name]] = merge_pods(below, item, keep_removals=keep_removals)
            merged[key] = list(items.values())
        elif value is None and not keep_removals:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def item_name(key: str, item: Any, index: int) -> str:
    """Return what tells an item of a list from the others: what it merges by, or its number.

    Args:
        key: That of the list.
        item: The item.
        index: Where it stands, from 0.
    """
    name = MERGE_KEYS.get(key)
    return str(item[name] if name and isinstance(item, Mapping) and name in item else index)


def unmergeable(part: Any) -> Iterator[str]:
    """Yield what of a part of a pod cannot be merged: items without what they merge by."""
    if isinstance(part, list):
        for item in part:
            yield from unmergeable(item)
    if not isinstance(part, Mapping):
        return
    for key, value in part.items():
        name = MERGE_KEYS.get(key)
        if key.startswith("$"):
            yield f"`{key}`, which only kubectl knows; set what should go to `null`"
        elif name and value is not None and not _are_named(value, name):
            yield f"`{key}` that is no list of items with a `{name}` each"
        elif key not in _FREE_KEYS:
            yield from unmergeable(value)


def _are_named(items: Any, name: str) -> bool:
    return isinstance(items, list) and all(
        isinstance(item, Mapping) and item.get(name) for item in items
    )
