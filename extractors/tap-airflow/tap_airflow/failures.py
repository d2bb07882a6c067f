"""The failed attempts of tasks, with the errors in their logs.

Airflow docs: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from singer_sdk import typing as th

from tap_airflow.answers import NotFoundError
from tap_airflow.client import AirflowStream
from tap_airflow.columns import (
    DAG_ID,
    DAG_RUN_ID,
    DATE_TIME,
    DURATION,
    INTEGER,
    READ_AT,
    STRING,
    column,
    key,
)
from tap_airflow.streams import FAILED, TaskInstancesStream

MAX_ERROR_LENGTH = 2000
"""Characters of an error that are kept."""
_ERROR_LEVELS = ("error", "critical")


class TaskFailuresStream(AirflowStream):
    """The failed attempts, including those before a retry, with the error in their logs.

    Each task that failed or was retried costs at least two requests. Other tasks cost none.
    """

    name = "task_failures"
    path = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/tries"
    rows = "task_instances"
    parent_stream_type = TaskInstancesStream
    state_partitioning_keys = ()
    primary_keys = ("dag_id", "dag_run_id", "task_id", "map_index", "try_number")
    schema = th.PropertiesList(
        DAG_ID,
        DAG_RUN_ID,
        key("task_id", STRING, "ID of the task, with its task groups: group.task"),
        key("map_index", INTEGER, "Index of the mapped task; -1 if the task is not mapped"),
        key("try_number", INTEGER, "Number of the failed attempt, from 1"),
        column("state", STRING, "State at the end: failed or up_for_retry"),
        column("start_date", DATE_TIME, "When the attempt started"),
        column("end_date", DATE_TIME, "When the attempt ended"),
        DURATION,
        column("hostname", STRING, "Host of the attempt"),
        column("error", STRING, "Last error in its log; null if there is none"),
        READ_AT,
    ).to_dict()

    def request_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Yield the attempts of a task; none if its run was deleted since it was listed."""
        with suppress(NotFoundError):
            yield from super().request_records(context)

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
        """Return the row of a failed attempt with its error, or None for any other attempt."""
        if row["state"] not in FAILED:
            return None
        task = self.get_url(context).removesuffix(f"/{row['map_index']}/tries")
        request = self.build_prepared_request(
            method="GET",
            url=f"{task}/logs/{row['try_number']}",
            params={"map_index": row["map_index"], "full_content": "true"},
            headers={"Accept": "application/json"},
        )
        try:
            answer = self.request_decorator(self._request)(request, context)
        except NotFoundError:
            error = None
        else:
            error = last_error(answer.json().get("content"))
        return super().post_process({**row, "error": error}, context)


def last_error(entries: Any) -> str | None:
    """Return the last error of a log: the text of its exception, or the line itself.

    Args:
        entries: The log as Airflow returns it. Unless it is a list of structured lines, it has no
            errors.
    """
    if not isinstance(entries, list):
        return None
    for entry in reversed(entries):
        if isinstance(entry, Mapping) and (text := _error(entry)):
            return text[:MAX_ERROR_LENGTH]
    return None


def _error(entry: Mapping[str, Any]) -> str | None:
    if details := entry.get("error_detail"):
        # The first is the exception that was raised; its causes follow.
        raised: Mapping[str, str | None] = details[0]
        return raised.get("exc_value") or raised.get("exc_type")
    return entry.get("event") if entry.get("level") in _ERROR_LEVELS else None
