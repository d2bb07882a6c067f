"""The JSON Schema of meltano.yml with the options of this package, for editors."""

from __future__ import annotations

from typing import Any

from dag_factory.options.catalog import ANNOTATION_KEY, NESTED_LEVELS, OPTIONS, Level

MELTANO_SCHEMA = (
    "https://raw.githubusercontent.com/meltano/meltano/main/src/meltano/schemas/meltano.schema.json"
)
"""The address of Meltano's own schema, which ours extends."""


def project_schema() -> dict[str, Any]:
    """Return the schema: it accepts what Meltano's schema accepts, if the options are valid."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "meltano.yml with annotations for Airflow",
        "allOf": [{"$ref": MELTANO_SCHEMA}],
        "properties": {
            "annotations": _annotations(Level.PROJECT),
            "environments": _entries(Level.ENVIRONMENT),
            "jobs": _entries(Level.JOB),
            "schedules": _entries(Level.SCHEDULE),
            "plugins": {"additionalProperties": _entries(Level.PLUGIN)},
        },
    }


def _entries(level: Level) -> dict[str, Any]:
    return {"items": {"properties": {"annotations": _annotations(level)}}}


def _annotations(level: Level) -> dict[str, Any]:
    return {"properties": {ANNOTATION_KEY: option_schema(level)}}


def option_schema(level: Level) -> dict[str, Any]:
    """Return the JSON Schema of the options that a level may set."""
    properties = {
        name: {**option.kind.schema, "description": option.text}
        for name, option in OPTIONS.items()
        if level in option.levels
    }
    if level in NESTED_LEVELS:
        key, nested = NESTED_LEVELS[level]
        properties[key] = {"type": "object", "additionalProperties": option_schema(nested)}
    return {"type": "object", "additionalProperties": False, "properties": properties}
