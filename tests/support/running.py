"""Helpers for tests of the running platform."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import httpx
from local_platform.airflow_server import LocalAirflow

CHECKOUT = Path(__file__).parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class RunningAirflow:
    """A running Airflow, and the copy of the checkout that it serves."""

    checkout: Path
    output: str

    @property
    def local(self) -> LocalAirflow:
        return LocalAirflow(self.checkout)

    @property
    def home(self) -> Path:
        return self.local.home

    @property
    def url(self) -> str:
        return self.local.url

    username = "admin"

    @property
    def password(self) -> str:
        return self.local.passwords[self.username]

    @property
    def warehouse(self) -> Path:
        return self.checkout / "meltano/output/warehouse.duckdb"

    def run_command(self, command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run what `make COMMAND` runs."""
        argv = [sys.executable, "-m", "local_platform", command]
        for name, value in options.items():
            argv += [f"--{name}", str(value)]
        return subprocess.run(argv, cwd=self.checkout, capture_output=True, text=True, check=False)


def wait_until(look: Callable[[], T | None], limit: float, what: str) -> T:
    """Return what `look` finds as soon as it finds something."""
    end = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < end, f"{what}: not within {limit} s"
        time.sleep(0.5)
    return found


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as candidate:
        candidate.bind((host, 0))
        return int(candidate.getsockname()[1])


def copy_checkout(target: Path) -> Path:
    """Copy the files that git would commit, so that nothing else on this machine is used."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)
    return target


def stand_in(project: Path, plugin: str, command: str, executable: str | None = None) -> None:
    """Let a command replace an installed plugin, such as `loaders/target-duckdb`."""
    file = project / ".meltano" / plugin / "venv/bin" / (executable or Path(plugin).name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o755)


def query(warehouse: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the warehouse as soon as no load holds the file."""

    def look() -> list[tuple[Any, ...]] | None:
        try:
            with duckdb.connect(str(warehouse), read_only=True) as connection:
                return connection.execute(sql).fetchall()
        except duckdb.IOException:
            return None

    return wait_until(look, 60, f"an answer to {sql}")


def count(warehouse: Path, table: str) -> int:
    """Count the rows of a table."""
    return query(warehouse, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608


def finished(api: httpx.Client, run: str) -> str | None:
    """Return the final state of a run, or None while it has none."""
    state = str(api.get(run).raise_for_status().json()["state"])
    return state if state in ("success", "failed") else None


def asset_events(api: httpx.Client, run: str) -> list[dict[str, Any]]:
    """Return the asset events of a run; the API fails while a run that it started is queued."""
    _, dag_id, _, run_id = run.split("/")
    of_run = {"source_run_id": run_id, "source_dag_id": dag_id}

    def ask() -> httpx.Response | None:
        answer = api.get("assets/events", params=of_run)
        return answer if answer.is_success else None

    return list(wait_until(ask, 60, "asset events").json()["asset_events"])


def task_log(api: httpx.Client, run: str, attempt: int = 1) -> str:
    """Return the text of an attempt of a run's only task, including exceptions."""
    (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
    path = f"{run}/taskInstances/{task['task_id']}/logs/{attempt}"
    lines = []
    for entry in api.get(path).raise_for_status().json()["content"]:
        errors = (error["exc_value"] for error in entry.get("error_detail") or ())
        lines += [str(entry.get("event")), *errors]
    return "\n".join(lines)


def shown(api: httpx.Client, dag_id: str) -> dict[str, Any] | None:
    """Return a DAG that the list shows, or None."""
    dags = api.get("dags").raise_for_status().json()["dags"]
    return next((dag for dag in dags if dag["dag_id"] == dag_id), None)
