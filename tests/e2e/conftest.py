from collections.abc import Callable

import httpx
import pytest

Trigger = Callable[[str], str]


@pytest.fixture
def trigger(api: httpx.Client) -> Trigger:
    """Start a DAG by hand and return the path of its run."""

    def start(dag_id: str) -> str:
        answer = api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None})
        return f"dags/{dag_id}/dagRuns/{answer.raise_for_status().json()['dag_run_id']}"

    return start


@pytest.fixture
def read_log(api: httpx.Client) -> Callable[[str], str]:
    """Return the text of the first try of a run's only task."""

    def read(run: str) -> str:
        (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
        log = api.get(f"{run}/taskInstances/{task['task_id']}/logs/1")
        return log.raise_for_status().text

    return read
