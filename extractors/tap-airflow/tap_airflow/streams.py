"""The streams: their names, keys and columns.

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
"""States of a failed attempt."""


class DagsStream(WholeListStream):
    """The DAGs, including those removed from the DAG files (is_stale)."""

    name = "dags"
    path = "/dags"
    primary_keys = ("dag_id",)
    schema = th.PropertiesList(
        DAG_ID,
        DAG_DISPLAY_NAME,
        column("description", STRING, "Description of the DAG"),
        column("is_paused", BOOLEAN, "Whether its schedule is switched off"),
        column("is_stale", BOOLEAN, "Whether no DAG file defines it any more, or the file fails"),
        column("has_import_errors", BOOLEAN, "Whether its file has an import error"),
        column("owners", STRINGS, "Owners of the DAG"),
        column("tags", STRINGS, "Names of its tags, sorted"),
        column("timetable_summary", STRING, "Schedule, such as a cron expression"),
        column("timetable_description", STRING, "Schedule in words"),
        column("timetable_periodic", BOOLEAN, "Whether it runs at regular intervals"),
        column("timetable_partitioned", BOOLEAN, "Whether its runs have partitions"),
        column("is_backfillable", BOOLEAN, "Whether its schedule can be backfilled"),
        column("allowed_run_types", STRINGS, "Allowed run types; null means all"),
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
        column("fileloc", STRING, "Full path of its file"),
        column("last_parsed_time", DATE_TIME, "When its file was last parsed"),
        column("last_parse_duration", NUMBER, "Seconds that the last parse took"),
        column("last_expired", DATE_TIME, "When its cached version last expired"),
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Include DAGs removed from the files: their runs are still in dag_runs."""
        return {**super().get_url_params(context, next_page_token), "exclude_stale": "false"}

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
        """Reduce the tags to their names."""
        return super().post_process({**row, "tags": [tag["name"] for tag in row["tags"]]}, context)


class DagRunsStream(ChangesStream):
    """The runs of all DAGs; a run keeps its row when it is cleared and runs again."""

    name = "dag_runs"
    path = "/dags/~/dagRuns"
    primary_keys = ("dag_id", "dag_run_id")
    schema = th.PropertiesList(
        DAG_ID,
        DAG_RUN_ID,
        DAG_DISPLAY_NAME,
        column("state", STRING, "queued, running, success or failed"),
        column("run_type", STRING, "scheduled, manual, backfill, asset_triggered, ..."),
        column("triggered_by", STRING, "Its trigger: timetable, rest_api, ui, cli, asset, ..."),
        column("triggering_user_name", STRING, "User who triggered it, if any"),
        LOGICAL_DATE,
        RUN_AFTER,
        column("queued_at", DATE_TIME, "When it was last queued"),
        column("start_date", DATE_TIME, "When it started"),
        column("end_date", DATE_TIME, "When it succeeded or failed"),
        DURATION,
        column("data_interval_start", DATE_TIME, "Start of its data interval"),
        column("data_interval_end", DATE_TIME, "End of its data interval"),
        column("last_scheduling_decision", DATE_TIME, "When the scheduler last examined it"),
        column("conf", OBJECT, "Parameters that it was started with"),
        NOTE,
        column("bundle_version", STRING, "Version of the DAG bundle when it started"),
        column("dag_version_numbers", th.ArrayType(INTEGER), "DAG versions that its tasks ran"),
        column("partition_key", STRING, "Key of its partition"),
        column("partition_date", DATE_TIME, "Date of its partition"),
        READ_AT,
    ).to_dict()

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
        """Replace the DAG versions with their numbers."""
        numbers = [version["version_number"] for version in row["dag_versions"]]
        return super().post_process({**row, "dag_version_numbers": numbers}, context)


class TaskInstancesStream(ChangesStream):
    """The tasks of all runs, each with its latest attempt.

    When a task is retried or cleared, Airflow overwrites the row and increments `try_number`. It
    also changes `id`, which is therefore not a key. Earlier attempts have an endpoint per task of
    a run, so that reading them all would take too many requests.
    """

    name = "task_instances"
    path = "/dags/~/dagRuns/~/taskInstances"
    primary_keys = ("dag_id", "dag_run_id", "task_id", "map_index")
    schema = th.PropertiesList(
        DAG_ID,
        DAG_RUN_ID,
        key("task_id", STRING, "ID of the task, with its task groups: group.task"),
        key("map_index", INTEGER, "Index of the mapped task; -1 if the task is not mapped"),
        column("id", STRING, "Airflow's ID of the latest attempt"),
        DAG_DISPLAY_NAME,
        column("task_display_name", STRING, "Name of the task in the web interface"),
        column("state", STRING, "State of the latest attempt; null before it is scheduled"),
        column("try_number", INTEGER, "Attempts so far: 0 never ran, 2 was retried once"),
        column("max_tries", INTEGER, "Retries that it may have; clearing a task increases it"),
        LOGICAL_DATE,
        RUN_AFTER,
        column("scheduled_when", DATE_TIME, "When the scheduler found it ready to run"),
        column("queued_when", DATE_TIME, "When it was sent to the executor"),
        column("start_date", DATE_TIME, "When the latest attempt started"),
        column("end_date", DATE_TIME, "When the latest attempt ended"),
        DURATION,
        column("operator", STRING, "Class of the operator"),
        column("operator_name", STRING, "Name of the operator in the web interface"),
        column("pool", STRING, "Pool whose slots it takes"),
        column("pool_slots", INTEGER, "Slots that it takes"),
        column("queue", STRING, "Queue of the executor"),
        column("priority_weight", INTEGER, "Its priority among waiting tasks"),
        column("executor", STRING, "Executor, if not the default"),
        column("hostname", STRING, "Host of the latest attempt"),
        column("unixname", STRING, "Account of the latest attempt"),
        column("pid", INTEGER, "Process of the latest attempt"),
        column("rendered_map_index", STRING, "Name of a mapped task"),
        NOTE,
        column("dag_version_number", INTEGER, "Version of the DAG of the latest attempt"),
        READ_AT,
    ).to_dict()

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
        """Replace the DAG version with its number."""
        number = (row.get("dag_version") or {}).get("version_number")
        return super().post_process({**row, "dag_version_number": number}, context)

    def generate_child_contexts(
        self,
        record: dict[str, Any],
        context: Any,  # noqa: ARG002
    ) -> Iterable[Any]:
        """Yield the task to `task_failures`, if an attempt of it may have failed."""
        if record["try_number"] > 1 or record["state"] in FAILED:
            yield {name: record[name] for name in self.primary_keys}


class AssetEventsStream(WholeListStream):
    """The events that loads and other tasks have sent for assets; an event never changes."""

    name = "asset_events"
    path = "/assets/events"
    primary_keys = ("id",)
    replication_key = "read_at"
    is_sorted = False
    schema = th.PropertiesList(
        key("id", INTEGER, "Airflow's ID of the event"),
        column("timestamp", DATE_TIME, "When it happened"),
        column("asset_id", INTEGER, "Airflow's ID of the asset"),
        column("name", STRING, "Name of the asset"),
        column("uri", STRING, "URI of the asset"),
        column("group", STRING, "Group of the asset"),
        column("source_dag_id", STRING, "DAG of the task that sent it"),
        column("source_run_id", STRING, "Run of the task that sent it"),
        column("source_task_id", STRING, "Task that sent it"),
        column(
            "source_map_index", INTEGER, "Index of the mapped task; -1 if the task is not mapped"
        ),
        column("extra", OBJECT, "Details from the task, such as how many rows it loaded"),
        column("partition_key", STRING, "Key of its partition"),
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Return the parameters for new events since the bookmark, less the overlap, by time."""
        params = super().get_url_params(context, next_page_token) | {"order_by": "timestamp"}
        if since := self.get_starting_timestamp(context):
            params["timestamp_gte"] = (since - OVERLAP).isoformat()
        return params


class PoolsStream(WholeListStream):
    """The pools and their current usage."""

    name = "pools"
    path = "/pools"
    primary_keys = ("name",)
    schema = th.PropertiesList(
        key("name", STRING, "Name of the pool"),
        column("description", STRING, "Description of the pool"),
        column("slots", INTEGER, "Slots in total; -1 means no limit"),
        column("include_deferred", BOOLEAN, "Whether deferred tasks take slots"),
        column("occupied_slots", INTEGER, "Occupied slots"),
        column("running_slots", INTEGER, "Slots of running tasks"),
        column("queued_slots", INTEGER, "Slots of queued tasks"),
        column("scheduled_slots", INTEGER, "Slots of scheduled tasks, which are not queued yet"),
        column("deferred_slots", INTEGER, "Slots of deferred tasks"),
        column("open_slots", INTEGER, "Free slots; -1 means no limit"),
        column("team_name", STRING, "Team that owns it"),
        READ_AT,
    ).to_dict()


class ImportErrorsStream(WholeListStream):
    """The DAG files that Airflow currently cannot load."""

    name = "import_errors"
    path = "/importErrors"
    primary_keys = ("import_error_id",)
    schema = th.PropertiesList(
        key("import_error_id", INTEGER, "ID of the error"),
        column("timestamp", DATE_TIME, "When loading the file last failed"),
        column("filename", STRING, "Path of the file in its bundle"),
        column("bundle_name", STRING, "DAG bundle of the file"),
        column("stack_trace", STRING, "Python's traceback"),
        READ_AT,
    ).to_dict()
