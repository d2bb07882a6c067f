"""A JSON Schema of meltano.yml with our options in it, for editors."""

from __future__ import annotations

from typing import Any

from dag_factory.options.catalog import KEY, Level, option_schema

MELTANO_SCHEMA = (
    "https://raw.githubusercontent.com/meltano/meltano/main/src/meltano/schemas/meltano.schema.json"
)
"""Meltano's own schema, which ours adds to."""


def project_schema() -> dict[str, Any]:
    """Return the schema; it accepts what Meltano's does, and of our options the right ones."""
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
    return {"properties": {KEY: option_schema(level)}}
