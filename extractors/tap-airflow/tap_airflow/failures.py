"""Tries that failed, and what their logs say.

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

LONGEST = 2000
"""Characters of an error that are kept."""
_LEVELS = ("error", "critical")


class TaskFailuresStream(AirflowStream):
    """The tries that failed, those before a retry included, and what their logs say of it.

    Asked for with two requests and more for each task that has failed or was tried again, and
    for no other.
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
        key("task_id", STRING, "Id of the task, with its task groups: group.task"),
        key("map_index", INTEGER, "Which of the mapped tasks; -1 for one that is not mapped"),
        key("try_number", INTEGER, "Which try failed; the first is 1"),
        column("state", STRING, "How it ended: failed, or up_for_retry"),
        column("start_date", DATE_TIME, "When the try started"),
        column("end_date", DATE_TIME, "When the try ended"),
        DURATION,
        column("hostname", STRING, "Host of the try"),
        column("error", STRING, "The last error of its log; null where there is none"),
        READ_AT,
    ).to_dict()

    def request_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Yield the tries of a task; none where its run was deleted since it was listed."""
        with suppress(NotFoundError):
            yield from super().request_records(context)

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any] | None:
        """Keep the tries that failed, with their errors."""
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
    """Return the last error of a log: its exception's text, or else the line itself.

    Args:
        entries: The log as Airflow gives it, a list of structured lines; anything else has none.
    """
    if not isinstance(entries, list):
        return None
    for entry in reversed(entries):
        if isinstance(entry, Mapping) and (text := _error(entry)):
            return text[:LONGEST]
    return None


def _error(entry: Mapping[str, Any]) -> str | None:
    if details := entry.get("error_detail"):
        # The first is the exception that was raised; those after it are what it came from.
        raised: Mapping[str, str | None] = details[0]
        return raised.get("exc_value") or raised.get("exc_type")
    return entry.get("event") if entry.get("level") in _LEVELS else None
