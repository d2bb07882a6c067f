"""Whether all tables have been loaded recently."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from platform_health.errors import HealthError

if TYPE_CHECKING:
    from platform_health.warehouse import Warehouse

DEFAULT_AGE = 26 * 3600
"""Seconds: a day, for a daily load, and two hours in which it may be late."""
LOADED_AT = "_sdc_batched_at"
"""The column with the time at which a row was loaded, if the loader sets add_record_metadata."""
NEVER = "never"
"""The duration for tables that may have any age or be empty."""
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Return the seconds of a duration such as `90m`, `26h` or `7d`; infinity for `never`.

    Raises:
        ValueError: The text is not a duration.
    """
    if text == NEVER:
        return math.inf
    match = re.fullmatch(r"(\d+)([mhd])", text)
    if not match:
        raise ValueError(f"{text!r} must be a duration such as 90m, 26h or 7d, or `never`")
    return int(match[1]) * _UNITS[match[2]]


def check(warehouse: Warehouse, max_age: Mapping[str, float], now: datetime) -> str:
    """Record the age of the newest row of each table, and return a summary.

    Args:
        warehouse: The warehouse with the tables.
        max_age: Allowed seconds by schema or by `schema.table`; 26 hours for other tables.
        now: The current time.

    Raises:
        HealthError: A table is too old, or a table or schema in `max_age` does not exist.
    """
    tables = [
        table for table, columns in sorted(warehouse.tables().items()) if LOADED_AT in columns
    ]
    if not tables:
        raise HealthError(
            f"no table has a column {LOADED_AT}; set add_record_metadata for the loader"
        )
    known = {name for schema, table in tables for name in (schema, f"{schema}.{table}")}
    required = {name for name, age in max_age.items() if age < math.inf}
    wrong = [f"{name} does not exist" for name in sorted(required - known)]
    ages = {}
    for schema, table in tables:
        source = warehouse.quoted(schema, table)
        sql = f"select cast(max({LOADED_AT}) as varchar) as newest from {source}"  # noqa: S608
        [row] = warehouse.rows(sql)
        name = f"{schema}.{table}"
        age = _age(row["newest"], now)
        ages[name] = age
        allowed = max_age.get(name, max_age.get(schema, DEFAULT_AGE))
        if age is None and allowed < math.inf:
            wrong.append(f"{name} is empty")
        elif age is not None and age > allowed:
            wrong.append(
                f"{name} was last loaded {_in_words(age)} ago (allowed: {_in_words(allowed)})"
            )
    warehouse.append(
        "freshness",
        now,
        [
            sa.Column("table_name", sa.String),
            sa.Column("age_seconds", sa.Double),
        ],
        [{"table_name": each, "age_seconds": ages[each]} for each in ages],
    )
    if wrong:
        raise HealthError("; ".join(wrong))
    return f"{len(ages)} tables are fresh"


def _age(newest: str | None, now: datetime) -> float | None:
    if newest is None:
        return None
    loaded = datetime.fromisoformat(newest)
    return (now - (loaded if loaded.tzinfo else loaded.replace(tzinfo=now.tzinfo))).total_seconds()


def _in_words(age: float) -> str:
    return f"{age / 3600:.0f} h" if age >= _UNITS["h"] else f"{age / 60:.0f} min"
