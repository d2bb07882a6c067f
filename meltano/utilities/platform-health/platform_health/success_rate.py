"""The success rate of scheduled runs, from the tables of tap-airflow."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from platform_health.errors import HealthError

if TYPE_CHECKING:
    from platform_health.warehouse import Warehouse

SCHEMA = "tap_airflow"
"""The schema of tap-airflow's tables."""
WINDOWS = (7, 30)
"""The periods in days for which the rate is measured; the last is the longest."""
_MAX_CAUSE_LENGTH = 100
_NEWEST_FAILURES = 20
_RUNS = f"""
    select dag_id, dag_run_id, state, duration, run_after from {SCHEMA}.dag_runs
    where run_type in ('scheduled', 'asset_triggered')
        and state in ('success', 'failed') and run_after > :since
"""  # noqa: S608 - a constant
_RATES = f"""
    with runs as ({_RUNS}),
    retried as (
        select dag_id, dag_run_id, sum(greatest(try_number - 1, 0)) as retries
        from {SCHEMA}.task_instances group by dag_id, dag_run_id
    )
    select
        runs.dag_id, count(*) as runs,
        sum(case when state = 'success' then 1 else 0 end) as succeeded,
        percentile_cont(0.5) within group (order by duration) as p50_seconds,
        percentile_cont(0.95) within group (order by duration) as p95_seconds,
        coalesce(sum(retries), 0) as retries
    from runs left join retried using (dag_id, dag_run_id)
    group by grouping sets ((runs.dag_id), ())
"""  # noqa: S608 - a constant
_DAYS = f"""
    select cast(run_after as date) as day,
        sum(case when state = 'success' then 1 else 0 end) as succeeded,
        sum(case when state = 'failed' then 1 else 0 end) as failed
    from ({_RUNS}) as runs group by 1
"""  # noqa: S608 - a constant
_FAILURES = f"""
    select failures.dag_id, failures.task_id, failures.try_number,
        coalesce(failures.error, 'no error in its log') as error,
        coalesce(cast(failures.end_date as varchar), '') as ended
    from {SCHEMA}.task_failures as failures join ({_RUNS}) as runs using (dag_id, dag_run_id)
    order by failures.end_date desc nulls last
"""  # noqa: S608 - a constant


@dataclass(frozen=True)
class Rate:
    """The results of the runs of a DAG, or of all DAGs, within a window.

    Attributes:
        window_days: The length of the window.
        dag_id: The DAG; `None` for all DAGs.
        runs: The number of scheduled runs that have ended.
        succeeded: The number of these runs that succeeded.
        p50_seconds: The median duration of these runs.
        p95_seconds: The 95th percentile of their durations.
        retries: The number of attempts of their tasks after the first.
    """

    window_days: int
    dag_id: str | None
    runs: int
    succeeded: int
    p50_seconds: float
    p95_seconds: float
    retries: int

    @property
    def rate(self) -> float:
        """The share that succeeded, from 0 to 1."""
        return self.succeeded / self.runs


@dataclass(frozen=True)
class Failure:
    """A failed attempt of a task in a scheduled run."""

    dag_id: str
    task_id: str
    try_number: int
    error: str
    ended: str

    @property
    def cause(self) -> str:
        """The error without the parts that differ between runs."""
        text = re.sub(r"^Meltano failed with exit code -?\d+: ", "", self.error)
        return re.sub(r"\d+", "…", text)[:_MAX_CAUSE_LENGTH]


@dataclass(frozen=True)
class Measured:
    """The measured results.

    Attributes:
        at: The time of the measurement.
        rates: The rates of all DAGs and of each DAG, within each window.
        days: The numbers of succeeded and failed runs by day, within the longest window.
        failures: The failures within the longest window, the newest first.
    """

    at: datetime
    rates: tuple[Rate, ...]
    days: dict[date, tuple[int, int]]
    failures: tuple[Failure, ...]

    def of_all(self, window_days: int) -> Rate:
        """Return the rate of all DAGs, which exists even if nothing has run."""
        found = (r for r in self.rates if (r.window_days, r.dag_id) == (window_days, None))
        return next(found)

    def of_dags(self, window_days: int) -> list[Rate]:
        """Return the rate of each DAG that ran, the worst first."""
        found = [r for r in self.rates if r.window_days == window_days and r.dag_id is not None]
        return sorted(found, key=lambda each: (each.rate, each.dag_id))

    @property
    def causes(self) -> list[tuple[str, int]]:
        """The causes of failures and their numbers, the most frequent first."""
        return Counter(each.cause for each in self.failures).most_common()

    @property
    def newest_failures(self) -> tuple[Failure, ...]:
        """The newest failures."""
        return self.failures[:_NEWEST_FAILURES]

    @property
    def headline(self) -> str:
        """The rates of all DAGs in one line."""
        parts = []
        for days in WINDOWS:
            rate = self.of_all(days)
            text = "no scheduled run ended"
            if rate.runs:
                text = f"{percent(rate.rate)} of {rate.runs} scheduled runs succeeded"
            parts.append(f"{text} in {days} days")
        return ", ".join(parts)


def percent(share: float) -> str:
    """Return a share as a percentage; 100% is used only if nothing failed."""
    text = f"{share:.1%}"
    return "99.9%" if text == "100.0%" and share < 1 else text.replace(".0%", "%")


def measure(warehouse: Warehouse, now: datetime) -> Measured:
    """Measure the results of scheduled runs.

    Args:
        warehouse: The warehouse with the tables of tap-airflow.
        now: The end of the windows.

    Raises:
        HealthError: The tables do not exist.
    """
    tables = warehouse.tables()
    if (SCHEMA, "dag_runs") not in tables:
        raise HealthError(
            f"table {SCHEMA}.dag_runs does not exist; run a job that loads tap-airflow"
        )
    since = {days: now - timedelta(days=days) for days in WINDOWS}
    rates = [
        Rate(days, **row)
        for days in WINDOWS
        for row in map(_plain, warehouse.rows(_RATES, since=since[days]))
    ]
    longest = since[WINDOWS[-1]]
    days = {
        row["day"]: (int(row["succeeded"]), int(row["failed"]))
        for row in warehouse.rows(_DAYS, since=longest)
    }
    failures: list[Any] = []
    if (SCHEMA, "task_failures") in tables:
        failures = warehouse.rows(_FAILURES, since=longest)
    return Measured(now, tuple(rates), days, tuple(Failure(**each) for each in failures))


def _plain(row: Any) -> dict[str, Any]:
    """Return a row with floats and integers, for a database's decimals and NULLs."""
    numbers = {name: float(row[name] or 0) for name in ("p50_seconds", "p95_seconds")}
    counts = {name: int(row[name] or 0) for name in ("runs", "succeeded", "retries")}
    return {**row, **numbers, **counts}


def record(warehouse: Warehouse, measured: Measured) -> None:
    """Add the measured results to the tables `success_rate` and `failures_by_cause`."""
    warehouse.append(
        "success_rate",
        measured.at,
        [
            sa.Column("window_days", sa.Integer),
            sa.Column("dag_id", sa.String),
            sa.Column("runs", sa.Integer),
            sa.Column("succeeded", sa.Integer),
            sa.Column("success_rate", sa.Double),
            sa.Column("p50_seconds", sa.Double),
            sa.Column("p95_seconds", sa.Double),
            sa.Column("retries", sa.Integer),
        ],
        [{**vars(each), "success_rate": each.rate} for each in measured.rates if each.runs],
    )
    warehouse.append(
        "failures_by_cause",
        measured.at,
        [
            sa.Column("window_days", sa.Integer),
            sa.Column("cause", sa.String),
            sa.Column("failures", sa.Integer),
        ],
        [
            {"window_days": WINDOWS[-1], "cause": cause, "failures": count}
            for cause, count in measured.causes
        ],
    )
