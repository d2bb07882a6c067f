"""Deletion of old measurements, so that the warehouse does not grow without limit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_health.warehouse import Warehouse

MEASUREMENT_TABLES = ("success_rate", "failures_by_cause", "freshness", "row_counts")
"""The tables of this package, whose rows have a `measured_at`."""


def tidy(warehouse: Warehouse, keep_days: int, now: datetime) -> str:
    """Delete old measurements, update DuckDB's statistics, and return a summary.

    Args:
        warehouse: The warehouse with the measurements.
        keep_days: The number of days for which measurements are kept.
        now: The current time.
    """
    deleted = warehouse.delete_measurements(MEASUREMENT_TABLES, now - timedelta(days=keep_days))
    if warehouse.is_duckdb:
        warehouse.execute("vacuum analyze")
    return f"deleted {deleted} old measurements"
