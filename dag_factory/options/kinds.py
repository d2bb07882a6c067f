"""The kinds of value that options have: how a value is read, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dag_factory.options import expectations, pod_values, times, values


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        read: Returns a value as the options hold it; raises an `InvalidValueError` if the value
            cannot be used.
        schema: The JSON Schema of a value.
    """

    read: Callable[[Any], Any]
    schema: Mapping[str, Any]


_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}
_MAP = {"type": "object"}
_COUNT = {"type": "integer", "minimum": 0}
_DURATION = {
    "type": "string",
    "pattern": r"^(0*[1-9]\d*[smhd]|P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$",
}
_EVENTS = {"type": "array", "items": {"enum": list(values.EVENTS)}}
_QUANTITIES = {**_MAP, "additionalProperties": {"type": ["string", "number"]}}
_PARAM = {**_MAP, "properties": {"type": {"enum": [*values.PARAM_TYPES]}}, "required": ["type"]}


def _map_of(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**_MAP, "properties": properties, **more, "additionalProperties": False}


def _word(words: tuple[str, ...]) -> Kind:
    return Kind(values.one_of(words), {"type": "string", "enum": list(words)})


def _whole_number(least: int) -> Kind:
    return Kind(values.whole(least), {"type": "integer", "minimum": least})


LINE = Kind(values.line, _TEXT)
TEXT = Kind(values.text, _TEXT)
TEXTS = Kind(values.texts, _TEXTS)
FLAG = Kind(values.flag, {"type": "boolean"})
COUNT = _whole_number(0)
POSITIVE = _whole_number(1)
BACKOFF = Kind(values.backoff, {"anyOf": [{"type": "boolean"}, {"type": "number", "minimum": 0}]})
DURATION = Kind(times.duration, _DURATION)
MOMENT = Kind(times.moment, _TEXT)
TIMEZONE = Kind(times.timezone, _TEXT)
ADDRESSES = Kind(values.addresses, {"anyOf": [_TEXT, _TEXTS]})
LINKS = Kind(values.links, {**_MAP, "additionalProperties": _TEXT})
ARGUMENTS = Kind(values.arguments, _MAP)
EVENTS = Kind(values.events, _EVENTS)
NOTIFIERS = Kind(
    values.notifiers,
    {
        "type": "array",
        "items": _map_of(
            {"class": _TEXT, "kwargs": _MAP, "events": _EVENTS},
            required=["class"],
        ),
    },
)
AFTER = Kind(
    values.after,
    {
        "anyOf": [
            _TEXT,
            _TEXTS,
            *(_map_of({how: _TEXTS}, required=[how]) for how in ("all", "any")),
        ]
    },
)
PARAMS = Kind(values.params, {**_MAP, "additionalProperties": _PARAM})
SECRETS = Kind(
    values.secrets,
    {
        "anyOf": [
            _TEXTS,
            _map_of(
                {"mode": {"enum": list(values.SECRET_MODES)}, "names": _TEXTS}, minProperties=1
            ),
        ]
    },
)
_BOUNDS = {"min": _COUNT, "max": _COUNT}
EXPECTATION = Kind(
    expectations.expectation,
    _map_of(
        {
            "rows": _map_of(_BOUNDS),
            "max_age": _DURATION,
            "streams": {
                **_MAP,
                "additionalProperties": _map_of({**_BOUNDS, "max_age": _DURATION}),
            },
        }
    ),
)
ORDER = _word(values.ORDERS)
RUNNER = _word(values.RUNNERS)
WEIGHT_RULE = _word(values.WEIGHT_RULES)
IMAGE = Kind(pod_values.image, _TEXT)
RESOURCES = Kind(pod_values.resources, _map_of({"requests": _QUANTITIES, "limits": _QUANTITIES}))
OBJECT_NAME = Kind(pod_values.object_name, _TEXT)
LABELS = Kind(pod_values.labels, {**_MAP, "additionalProperties": {"type": "string"}})
TOLERATIONS = Kind(pod_values.tolerations, {"type": "array", "items": _MAP})
POD_OVERRIDE = Kind(pod_values.pod_override, _map_of({"metadata": _MAP, "spec": _MAP}))
