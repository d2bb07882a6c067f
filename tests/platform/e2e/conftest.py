from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from tests.support.running import RunningAirflow, task_log

Trigger = Callable[..., str]
Edit = Callable[[Callable[[Any], None]], None]


@pytest.fixture(scope="session")
def trigger(api: httpx.Client) -> Trigger:
    """Start a DAG by hand, with the values of its form, and return the path of its run."""

    def start(dag_id: str, **conf: Any) -> str:
        answer = api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        return f"dags/{dag_id}/dagRuns/{answer.raise_for_status().json()['dag_run_id']}"

    return start


@pytest.fixture
def read_log(api: httpx.Client) -> Callable[[str], str]:
    """Return the text of the first try of a run's only task, exceptions included."""

    return partial(task_log, api)


def editor(checkout: Path) -> Iterator[Edit]:
    """Change meltano.yml with a function, and put it back at the end."""
    file = checkout / "meltano/meltano.yml"
    before = file.read_text()
    yaml = YAML()

    def change(how: Callable[[Any], None]) -> None:
        data = yaml.load(before)
        how(data)
        with file.open("w") as stream:
            yaml.dump(data, stream)

    yield change
    file.write_text(before)


@pytest.fixture
def edit(airflow: RunningAirflow) -> Iterator[Edit]:
    """Change meltano.yml for one test."""
    yield from editor(airflow.checkout)


@pytest.fixture(scope="module")
def edit_for_module(airflow: RunningAirflow) -> Iterator[Edit]:
    """Change meltano.yml for all tests of a module."""
    yield from editor(airflow.checkout)
