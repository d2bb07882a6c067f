"""Redmine's nested answers as flat rows."""

from __future__ import annotations

from typing import Any


def flatten(row: dict[str, Any]) -> dict[str, Any]:
    """Make columns of references: `{"status": {"id": 1}}` becomes `{"status_id": 1}`."""
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
    """Give a field a list of values, whether it may have several or one."""
    value = field.get("value")
    values = value if isinstance(value, list) else [] if value in {None, ""} else [value]
    return {"id": field["id"], "name": field["name"], "values": values}
