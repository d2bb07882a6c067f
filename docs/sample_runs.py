"""A month of made-up runs, for the picture of the success rate's page."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import duckdb
from platform_health import page, success_rate
from platform_health.warehouse import Warehouse

NOW = datetime(2026, 3, 31, 9, tzinfo=UTC)
DAGS = {
    "shop_orders": 70,
    "mail": 110,
    "redmine_issues": 60,
    "redmine_time": 20,
    "directory": 35,
    "erp_master_data": 420,
    "erp_documents": 640,
    "bank_statements": 25,
}
"""How many seconds their runs take."""
ERRORS = (
    "OOMKilled: the pod went over its limit of 600Mi; raise `resources: {limits: {memory: ...}}`",
    "Meltano failed with exit code 1: tap-redmine: GET /issues.json returned 503",
    "Meltano failed with exit code 1: tap-imap: the server closed the connection",
)
TABLES = """
create schema tap_airflow;
create table tap_airflow.dag_runs (dag_id text, dag_run_id text, state text, run_type text,
    run_after timestamptz, duration double);
create table tap_airflow.task_instances (dag_id text, dag_run_id text, try_number int);
create table tap_airflow.task_failures (dag_id text, dag_run_id text, task_id text,
    try_number int, end_date timestamptz, error text);
"""


def draw_sample(folder: Path) -> Path:
    """Write the page of a warehouse with such runs into a folder, and return it."""
    file, chance = folder / "sample.duckdb", Random(3)  # noqa: S311
    runs, tasks, failures = [], [], []
    for dag, seconds in DAGS.items():
        for hour in range(0, 30 * 24, 6 if seconds > 100 else 2):  # noqa: PLR2004
            at, run = NOW - timedelta(hours=hour, minutes=7), f"{dag} {hour}"
            failed, again = chance.random() < 0.003, chance.random() < 0.015  # noqa: PLR2004
            took = seconds * chance.lognormvariate(0, 0.25)
            runs.append((dag, run, "failed" if failed else "success", "scheduled", at, took))
            tasks.append((dag, run, 3 if failed else 2 if again else 1))
            if failed or again:
                failures.append((dag, run, f"tap-{dag}", 1, at, chance.choice(ERRORS)))
    with duckdb.connect(str(file)) as warehouse:
        warehouse.execute(f"set timezone = 'UTC'; {TABLES}")
        for table, rows in (("dag_runs", runs), ("task_instances", tasks)):
            marks = ", ".join("?" * len(rows[0]))
            warehouse.executemany(f"insert into tap_airflow.{table} values ({marks})", rows)  # noqa: S608
        warehouse.executemany(
            "insert into tap_airflow.task_failures values (?, ?, ?, ?, ?, ?)", failures
        )
    html = folder / "success-rate.html"
    html.write_text(page.draw(success_rate.measure(Warehouse(f"duckdb:///{file}"), NOW)))
    return html
