"""Redmine's nested objects as flat rows."""

from __future__ import annotations

from typing import Any


def flatten(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with references as columns: `{"status": {"id": 1}}` as `{"status_id": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{part}": inner for part, inner in value.items()}
        else:
            flat[name] = value
    if "custom_fields" in row:
        flat["custom_fields"] = [_custom_field(field) for field in row["custom_fields"]]
    return flat


def _custom_field(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field with a list of values, whether it may have several values or one."""
    value = field.get("value")
    values = value if isinstance(value, list) else [] if value in {None, ""} else [value]
    return {"id": field["id"], "name": field["name"], "values": values}
