from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from running import RunningAirflow

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
    """Return the text of the first try of a run's only task, exceptions included."""

    def read(run: str) -> str:
        (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
        log = api.get(f"{run}/taskInstances/{task['task_id']}/logs/1").raise_for_status()
        lines = []
        for entry in log.json()["content"]:
            errors = (error["exc_value"] for error in entry.get("error_detail") or ())
            lines += [str(entry.get("event")), *errors]
        return "\n".join(lines)

    return read


@pytest.fixture
def edit(airflow: RunningAirflow) -> Iterator[Callable[[Callable[[Any], None]], None]]:
    """Change meltano.yml with a function, and put it back at the end."""
    file = airflow.checkout / "meltano/meltano.yml"
    before = file.read_text()
    yaml = YAML()

    def change(how: Callable[[Any], None]) -> None:
        data = yaml.load(before)
        how(data)
        with file.open("w") as stream:
            yaml.dump(data, stream)

    yield change
    file.write_text(before)
