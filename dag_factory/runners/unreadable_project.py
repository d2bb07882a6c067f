"""Fails a task whose DAG cannot be read any more, and says why in one line."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException


class StandInOperator(BaseOperator):
    """Stands in a worker for a task of a project that has become unreadable.

    Without it Airflow would look for the DAG three times, and say only that there is none.

    Args:
        reason: What is wrong with the project.
        **kwargs: Those of every Airflow operator.
    """

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Fail.

        Raises:
            AirflowException: Always; Airflow tries again as the scheduler was told to, when the
                project may have been mended.
        """
        raise AirflowException(self.reason)
