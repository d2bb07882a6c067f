"""How columns are declared, and the columns that several streams share."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

STRING = th.StringType
INTEGER = th.IntegerType
NUMBER = th.NumberType
BOOLEAN = th.BooleanType
DATE_TIME = th.DateTimeType
OBJECT = th.ObjectType(additional_properties=True)
STRINGS = th.ArrayType(STRING)


def column(name: str, kind: Any, description: str) -> th.Property[Any]:
    """Declare a column that may be null."""
    return th.Property(name, kind, description=description)


def key(name: str, kind: Any, description: str) -> th.Property[Any]:
    """Declare a column that identifies a row."""
    return th.Property(name, kind, required=True, nullable=False, description=description)


READ_AT = key(
    "read_at",
    DATE_TIME,
    "When the sync that read this row began to read its stream, on Airflow's clock. A row with an "
    "older read_at than the stream's latest sync has not changed since (dag_runs, task_instances) "
    "or no longer exists (dags, import_errors)",
)
DAG_ID = key("dag_id", STRING, "ID of the DAG")
DAG_RUN_ID = key("dag_run_id", STRING, "ID of the run, unique within its DAG")
DAG_DISPLAY_NAME = column("dag_display_name", STRING, "Name of the DAG in the web interface")
LOGICAL_DATE = column("logical_date", DATE_TIME, "Logical date of the run; null if it has none")
RUN_AFTER = column("run_after", DATE_TIME, "Earliest time at which the run may start")
DURATION = column("duration", NUMBER, "Seconds from start to end; null while running")
NOTE = column("note", STRING, "Note that a user wrote in the web interface")
