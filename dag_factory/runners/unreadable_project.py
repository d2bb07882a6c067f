"""Fails a task whose DAG can no longer be read, and says why in one line."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException


class StandInOperator(BaseOperator):
    """Replaces, in a worker, a task of a project that has become unreadable.

    Without it Airflow would look for the DAG three times, and report only that it does not exist.

    Args:
        reason: What is wrong with the project.
        **kwargs: The arguments of every Airflow operator.
    """

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Fail.

        Raises:
            AirflowException: Always. Airflow retries the task as its `retries` say; by then the
                project may have been fixed.
        """
        raise AirflowException(self.reason)
