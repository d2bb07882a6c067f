"""What is forgotten in time, so that a warehouse does not grow without end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_health.warehouse import Warehouse

KEPT = ("success_rate", "failures_by_cause", "freshness", "row_counts")
"""The tables whose rows have a `measured_at`."""


def tidy(warehouse: Warehouse, keep_days: int, now: datetime) -> str:
    """Forget figures that are older, and have DuckDB renew its statistics.

    Args:
        warehouse: Which.
        keep_days: How long figures are kept.
        now: What their age is counted to.
    """
    forgotten = warehouse.forget(KEPT, now - timedelta(days=keep_days))
    if warehouse.is_duckdb:
        warehouse.execute("vacuum analyze")
    return f"{forgotten} old figures are gone"
