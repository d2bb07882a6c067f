"""The four streams: what they are called, what identifies a row, and their columns.

Airflow docs: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_airflow.client import ChangesStream, WholeListStream

STRING = th.StringType
INTEGER = th.IntegerType
NUMBER = th.NumberType
BOOLEAN = th.BooleanType
DATE_TIME = th.DateTimeType
OBJECT = th.ObjectType(additional_properties=True)
STRINGS = th.ArrayType(STRING)


def _column(name: str, kind: Any, description: str) -> th.Property[Any]:
    return th.Property(name, kind, description=description)


def _key(name: str, kind: Any, description: str) -> th.Property[Any]:
    return th.Property(name, kind, required=True, nullable=False, description=description)


READ_AT = _key(
    "read_at",
    DATE_TIME,
    "When the sync that read this row asked for it, on Airflow's clock: the row is as it was then "
    "or a little later. A row with an older read_at than the stream's latest sync has not changed "
    "since (dag_runs, task_instances) or is gone (dags, import_errors)",
)
DAG_ID = _key("dag_id", STRING, "Id of the DAG")
DAG_RUN_ID = _key("dag_run_id", STRING, "Id of the run, unique within its DAG")
DAG_DISPLAY_NAME = _column("dag_display_name", STRING, "Name of the DAG in the web page")
LOGICAL_DATE = _column("logical_date", DATE_TIME, "The tick a run stands for; null if it has none")
RUN_AFTER = _column("run_after", DATE_TIME, "Earliest moment at which the run may start")
DURATION = _column("duration", NUMBER, "Seconds from start to end; null while running")
NOTE = _column("note", STRING, "What somebody noted in the web page")


class DagsStream(WholeListStream):
    """The DAGs, those removed from the DAG files (is_stale) included."""

    name = "dags"
    path = "/dags"
    primary_keys = ("dag_id",)
    schema = th.PropertiesList(
        DAG_ID,
        DAG_DISPLAY_NAME,
        _column("description", STRING, "Description of the DAG"),
        _column("is_paused", BOOLEAN, "Whether its schedule is switched off"),
        _column("is_stale", BOOLEAN, "Whether no DAG file has it any more, or its file is broken"),
        _column("has_import_errors", BOOLEAN, "Whether its file has an import error"),
        _column("owners", STRINGS, "Owners of the DAG"),
        _column("tags", STRINGS, "Names of its tags, sorted"),
        _column("timetable_summary", STRING, "Schedule, such as a cron expression"),
        _column("timetable_description", STRING, "Schedule in words"),
        _column("timetable_periodic", BOOLEAN, "Whether it runs at regular intervals"),
        _column("timetable_partitioned", BOOLEAN, "Whether its runs have partitions"),
        _column("is_backfillable", BOOLEAN, "Whether its schedule can be backfilled"),
        _column("allowed_run_types", STRINGS, "Run types it allows; null means all"),
        _column("next_dagrun_logical_date", DATE_TIME, "Logical date of the next run"),
        _column("next_dagrun_run_after", DATE_TIME, "When the next run may start"),
        _column("next_dagrun_data_interval_start", DATE_TIME, "Start of the next run's data"),
        _column("next_dagrun_data_interval_end", DATE_TIME, "End of the next run's data"),
        _column("max_active_tasks", INTEGER, "Most tasks at once in a run"),
        _column("max_active_runs", INTEGER, "Most runs at once"),
        _column("max_consecutive_failed_dag_runs", INTEGER, "Failures that pause it; 0 is never"),
        _column("has_task_concurrency_limits", BOOLEAN, "Whether a task has limits of its own"),
        _column("bundle_name", STRING, "DAG bundle it comes from"),
        _column("bundle_version", STRING, "Version of that bundle, such as a commit"),
        _column("relative_fileloc", STRING, "Its file, within the bundle"),
        _column("fileloc", STRING, "Its file, with the full path"),
        _column("last_parsed_time", DATE_TIME, "When its file was last parsed"),
        _column("last_parse_duration", NUMBER, "Seconds which that took"),
        _column("last_expired", DATE_TIME, "When its cached form was last dropped"),
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Ask for the DAGs that are gone from the files too: their runs are in dag_runs."""
        return {**super().get_url_params(context, next_page_token), "exclude_stale": "false"}

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """Reduce the tags to their names."""
        return super().post_process({**row, "tags": [tag["name"] for tag in row["tags"]]}, context)


class DagRunsStream(ChangesStream):
    """The runs of all DAGs; a run that is cleared and runs again is the same row."""

    name = "dag_runs"
    path = "/dags/~/dagRuns"
    primary_keys = ("dag_id", "dag_run_id")
    schema = th.PropertiesList(
        DAG_ID,
        DAG_RUN_ID,
        DAG_DISPLAY_NAME,
        _column("state", STRING, "queued, running, success or failed"),
        _column("run_type", STRING, "scheduled, manual, backfill, asset_triggered, ..."),
        _column(
            "triggered_by", STRING, "What started it: timetable, rest_api, ui, cli, asset, ..."
        ),
        _column("triggering_user_name", STRING, "User who started it, if a user did"),
        LOGICAL_DATE,
        RUN_AFTER,
        _column("queued_at", DATE_TIME, "When it was queued, the last time it was"),
        _column("start_date", DATE_TIME, "When it started"),
        _column("end_date", DATE_TIME, "When it succeeded or failed"),
        DURATION,
        _column("data_interval_start", DATE_TIME, "Start of the data it is for"),
        _column("data_interval_end", DATE_TIME, "End of the data it is for"),
        _column("last_scheduling_decision", DATE_TIME, "When the scheduler last looked at it"),
        _column("conf", OBJECT, "Parameters it was started with"),
        NOTE,
        _column("bundle_version", STRING, "Version of the DAG bundle it was started with"),
        _column("dag_version_numbers", th.ArrayType(INTEGER), "Versions of the DAG its tasks ran"),
        _column("partition_key", STRING, "Partition it is for"),
        _column("partition_date", DATE_TIME, "Date of that partition"),
        READ_AT,
    ).to_dict()

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """Reduce the versions of the DAG to their numbers."""
        numbers = [version["version_number"] for version in row["dag_versions"]]
        return super().post_process({**row, "dag_version_numbers": numbers}, context)


class TaskInstancesStream(ChangesStream):
    """The tasks of all runs, each with its latest try.

    A retry, or a clearing, overwrites the row and raises `try_number`; it also changes Airflow's
    `id`, which therefore is no key. Airflow keeps the earlier tries behind an endpoint for one
    task of one run only, too many requests to read them all.
    """

    name = "task_instances"
    path = "/dags/~/dagRuns/~/taskInstances"
    primary_keys = ("dag_id", "dag_run_id", "task_id", "map_index")
    schema = th.PropertiesList(
        DAG_ID,
        DAG_RUN_ID,
        _key("task_id", STRING, "Id of the task, with its task groups: group.task"),
        _key("map_index", INTEGER, "Which of the mapped tasks; -1 for one that is not mapped"),
        _column("id", STRING, "Airflow's id of the latest try"),
        DAG_DISPLAY_NAME,
        _column("task_display_name", STRING, "Name of the task in the web page"),
        _column("state", STRING, "State of the latest try; null before it is scheduled"),
        _column("try_number", INTEGER, "Tries begun so far: 0 never ran, 2 was tried once more"),
        _column("max_tries", INTEGER, "Retries it may have; clearing a task raises it"),
        LOGICAL_DATE,
        RUN_AFTER,
        _column("scheduled_when", DATE_TIME, "When the scheduler found it ready"),
        _column("queued_when", DATE_TIME, "When it was given to the executor"),
        _column("start_date", DATE_TIME, "When the latest try started"),
        _column("end_date", DATE_TIME, "When the latest try ended"),
        DURATION,
        _column("operator", STRING, "Class of the operator"),
        _column("operator_name", STRING, "Name of the operator in the web page"),
        _column("pool", STRING, "Pool it takes a slot of"),
        _column("pool_slots", INTEGER, "Slots that it takes"),
        _column("queue", STRING, "Queue of the executor"),
        _column("priority_weight", INTEGER, "Its weight among the tasks that wait"),
        _column("executor", STRING, "Executor, if not the default"),
        _column("hostname", STRING, "Host of the latest try"),
        _column("unixname", STRING, "Account of the latest try"),
        _column("pid", INTEGER, "Process of the latest try"),
        _column("rendered_map_index", STRING, "Name of a mapped task"),
        NOTE,
        _column("dag_version_number", INTEGER, "Version of the DAG of the latest try"),
        READ_AT,
    ).to_dict()

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """Reduce the version of the DAG to its number."""
        number = (row.get("dag_version") or {}).get("version_number")
        return super().post_process({**row, "dag_version_number": number}, context)


class ImportErrorsStream(WholeListStream):
    """The DAG files that Airflow cannot load at the moment."""

    name = "import_errors"
    path = "/importErrors"
    primary_keys = ("import_error_id",)
    schema = th.PropertiesList(
        _key("import_error_id", INTEGER, "Id of the error"),
        _column("timestamp", DATE_TIME, "When the file was last found broken"),
        _column("filename", STRING, "The file, within its bundle"),
        _column("bundle_name", STRING, "DAG bundle of the file"),
        _column("stack_trace", STRING, "What Python said"),
        READ_AT,
    ).to_dict()
