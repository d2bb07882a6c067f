"""The streams: what they are called, what identifies a row, and their columns.

Airflow docs: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from singer_sdk import typing as th

from tap_airflow.client import OVERLAP, ChangesStream, WholeListStream
from tap_airflow.columns import (
    BOOLEAN,
    DAG_DISPLAY_NAME,
    DAG_ID,
    DAG_RUN_ID,
    DATE_TIME,
    DURATION,
    INTEGER,
    LOGICAL_DATE,
    NOTE,
    NUMBER,
    OBJECT,
    READ_AT,
    RUN_AFTER,
    STRING,
    STRINGS,
    column,
    key,
)

FAILED = ("failed", "up_for_retry")
"""States of a try that has failed."""


class DagsStream(WholeListStream):
    """The DAGs, those removed from the DAG files (is_stale) included."""

    name = "dags"
    path = "/dags"
    primary_keys = ("dag_id",)
    schema = th.PropertiesList(
        DAG_ID,
        DAG_DISPLAY_NAME,
        column("description", STRING, "Description of the DAG"),
        column("is_paused", BOOLEAN, "Whether its schedule is switched off"),
        column("is_stale", BOOLEAN, "Whether no DAG file has it any more, or its file is broken"),
        column("has_import_errors", BOOLEAN, "Whether its file has an import error"),
        column("owners", STRINGS, "Owners of the DAG"),
        column("tags", STRINGS, "Names of its tags, sorted"),
        column("timetable_summary", STRING, "Schedule, such as a cron expression"),
        column("timetable_description", STRING, "Schedule in words"),
        column("timetable_periodic", BOOLEAN, "Whether it runs at regular intervals"),
        column("timetable_partitioned", BOOLEAN, "Whether its runs have partitions"),
        column("is_backfillable", BOOLEAN, "Whether its schedule can be backfilled"),
        column("allowed_run_types", STRINGS, "Run types it allows; null means all"),
        column("next_dagrun_logical_date", DATE_TIME, "Logical date of the next run"),
        column("next_dagrun_run_after", DATE_TIME, "When the next run may start"),
        column("next_dagrun_data_interval_start", DATE_TIME, "Start of the next run's data"),
        column("next_dagrun_data_interval_end", DATE_TIME, "End of the next run's data"),
        column("max_active_tasks", INTEGER, "Most tasks at once in a run"),
        column("max_active_runs", INTEGER, "Most runs at once"),
        column("max_consecutive_failed_dag_runs", INTEGER, "Failures that pause it; 0 is never"),
        column("has_task_concurrency_limits", BOOLEAN, "Whether a task has limits of its own"),
        column("bundle_name", STRING, "DAG bundle it comes from"),
        column("bundle_version", STRING, "Version of that bundle, such as a commit"),
        column("relative_fileloc", STRING, "Its file, within the bundle"),
        column("fileloc", STRING, "Its file, with the full path"),
        column("last_parsed_time", DATE_TIME, "When its file was last parsed"),
        column("last_parse_duration", NUMBER, "Seconds which that took"),
        column("last_expired", DATE_TIME, "When its cached form was last dropped"),
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Ask for the DAGs that are gone from the files too: their runs are in dag_runs."""
        return {**super().get_url_params(context, next_page_token), "exclude_stale": "false"}

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
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
        column("state", STRING, "queued, running, success or failed"),
        column("run_type", STRING, "scheduled, manual, backfill, asset_triggered, ..."),
        column("triggered_by", STRING, "What started it: timetable, rest_api, ui, cli, asset, ..."),
        column("triggering_user_name", STRING, "User who started it, if a user did"),
        LOGICAL_DATE,
        RUN_AFTER,
        column("queued_at", DATE_TIME, "When it was queued, the last time it was"),
        column("start_date", DATE_TIME, "When it started"),
        column("end_date", DATE_TIME, "When it succeeded or failed"),
        DURATION,
        column("data_interval_start", DATE_TIME, "Start of the data it is for"),
        column("data_interval_end", DATE_TIME, "End of the data it is for"),
        column("last_scheduling_decision", DATE_TIME, "When the scheduler last looked at it"),
        column("conf", OBJECT, "Parameters it was started with"),
        NOTE,
        column("bundle_version", STRING, "Version of the DAG bundle it was started with"),
        column("dag_version_numbers", th.ArrayType(INTEGER), "Versions of the DAG its tasks ran"),
        column("partition_key", STRING, "Partition it is for"),
        column("partition_date", DATE_TIME, "Date of that partition"),
        READ_AT,
    ).to_dict()

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
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
        key("task_id", STRING, "Id of the task, with its task groups: group.task"),
        key("map_index", INTEGER, "Which of the mapped tasks; -1 for one that is not mapped"),
        column("id", STRING, "Airflow's id of the latest try"),
        DAG_DISPLAY_NAME,
        column("task_display_name", STRING, "Name of the task in the web page"),
        column("state", STRING, "State of the latest try; null before it is scheduled"),
        column("try_number", INTEGER, "Tries begun so far: 0 never ran, 2 was tried once more"),
        column("max_tries", INTEGER, "Retries it may have; clearing a task raises it"),
        LOGICAL_DATE,
        RUN_AFTER,
        column("scheduled_when", DATE_TIME, "When the scheduler found it ready"),
        column("queued_when", DATE_TIME, "When it was given to the executor"),
        column("start_date", DATE_TIME, "When the latest try started"),
        column("end_date", DATE_TIME, "When the latest try ended"),
        DURATION,
        column("operator", STRING, "Class of the operator"),
        column("operator_name", STRING, "Name of the operator in the web page"),
        column("pool", STRING, "Pool it takes a slot of"),
        column("pool_slots", INTEGER, "Slots that it takes"),
        column("queue", STRING, "Queue of the executor"),
        column("priority_weight", INTEGER, "Its weight among the tasks that wait"),
        column("executor", STRING, "Executor, if not the default"),
        column("hostname", STRING, "Host of the latest try"),
        column("unixname", STRING, "Account of the latest try"),
        column("pid", INTEGER, "Process of the latest try"),
        column("rendered_map_index", STRING, "Name of a mapped task"),
        NOTE,
        column("dag_version_number", INTEGER, "Version of the DAG of the latest try"),
        READ_AT,
    ).to_dict()

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
        """Reduce the version of the DAG to its number."""
        number = (row.get("dag_version") or {}).get("version_number")
        return super().post_process({**row, "dag_version_number": number}, context)

    def generate_child_contexts(
        self,
        record: dict[str, Any],
        context: Any,  # noqa: ARG002
    ) -> Iterable[Any]:
        """Yield the task to `task_failures`, if a try of it may have failed."""
        if record["try_number"] > 1 or record["state"] in FAILED:
            yield {name: record[name] for name in self.primary_keys}


class AssetEventsStream(WholeListStream):
    """What loads and other tasks have told of assets; an event does not change."""

    name = "asset_events"
    path = "/assets/events"
    primary_keys = ("id",)
    replication_key = "read_at"
    is_sorted = False
    schema = th.PropertiesList(
        key("id", INTEGER, "Airflow's id of the event"),
        column("timestamp", DATE_TIME, "When it was"),
        column("asset_id", INTEGER, "Airflow's id of the asset"),
        column("name", STRING, "Name of the asset"),
        column("uri", STRING, "URI of the asset"),
        column("group", STRING, "Group of the asset"),
        column("source_dag_id", STRING, "DAG whose task it comes from"),
        column("source_run_id", STRING, "Run that it comes from"),
        column("source_task_id", STRING, "Task that it comes from"),
        column("source_map_index", INTEGER, "Which of the mapped tasks; -1 if it is not mapped"),
        column("extra", OBJECT, "What the task told, such as how many rows it loaded"),
        column("partition_key", STRING, "Partition it is for"),
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Ask in the order of time for what is new since the bookmark, less the overlap."""
        params = super().get_url_params(context, next_page_token) | {"order_by": "timestamp"}
        if since := self.get_starting_timestamp(context):
            params["timestamp_gte"] = (since - OVERLAP).isoformat()
        return params


class PoolsStream(WholeListStream):
    """The pools, and how full they are at the moment."""

    name = "pools"
    path = "/pools"
    primary_keys = ("name",)
    schema = th.PropertiesList(
        key("name", STRING, "Name of the pool"),
        column("description", STRING, "Description of the pool"),
        column("slots", INTEGER, "Slots that it has; -1 is no limit"),
        column("include_deferred", BOOLEAN, "Whether deferred tasks take slots"),
        column("occupied_slots", INTEGER, "Slots that are taken"),
        column("running_slots", INTEGER, "Slots of tasks that run"),
        column("queued_slots", INTEGER, "Slots of tasks that are queued"),
        column("scheduled_slots", INTEGER, "Slots that tasks wait for"),
        column("deferred_slots", INTEGER, "Slots of deferred tasks"),
        column("open_slots", INTEGER, "Slots that are free; -1 is no limit"),
        column("team_name", STRING, "Team that it belongs to"),
        READ_AT,
    ).to_dict()


class ImportErrorsStream(WholeListStream):
    """The DAG files that Airflow cannot load at the moment."""

    name = "import_errors"
    path = "/importErrors"
    primary_keys = ("import_error_id",)
    schema = th.PropertiesList(
        key("import_error_id", INTEGER, "Id of the error"),
        column("timestamp", DATE_TIME, "When the file was last found broken"),
        column("filename", STRING, "The file, within its bundle"),
        column("bundle_name", STRING, "DAG bundle of the file"),
        column("stack_trace", STRING, "What Python said"),
        READ_AT,
    ).to_dict()
