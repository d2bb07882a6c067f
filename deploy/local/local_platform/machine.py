"""The platform with its tasks as processes: `make up`, `make down`, `make clean`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from dag_factory.settings import Settings
from local_platform.airflow_server import LocalAirflow
from local_platform.console import LocalError, say
from local_platform.steps import (
    FIRST_JOB,
    first_run,
    is_running,
    planned_dags,
    show_dags,
    show_login,
    start,
)
from local_platform.warehouse_rows import row_counts

FOLDER = ".local"
_PLUGIN_SOURCES = (
    "requirements.lock",
    "extractors/*/pyproject.toml",
    "meltano/*.yml",
    "meltano/*/*.yml",
    "meltano/*/*.lock",
    "meltano/*/*/pyproject.toml",
)


def up(airflow: LocalAirflow, port: int) -> None:
    """Install the plugins, start Airflow, run a first job, and show its rows."""
    plans = planned_dags(Settings(airflow.checkout / "meltano"))
    _install_plugins(airflow)
    if not is_running(airflow, port, "make down"):
        if not airflow.processes():
            airflow.configure(port)
            airflow.write_dotenv()
        start(airflow)
    with airflow.api() as api:
        show_dags(api, plans)
        first_run(api, FIRST_JOB)
    warehouse = Path("meltano/output/warehouse.duckdb")
    say(f"Rows in {warehouse}:")
    say(row_counts(airflow.checkout / warehouse))
    show_login(airflow, "make down")


def down(airflow: LocalAirflow) -> None:
    """Stop Airflow; keep its history and the warehouse."""
    say("Airflow is stopped." if airflow.stop() else "Airflow was not running.")


def clean(airflow: LocalAirflow) -> None:
    """Stop Airflow and remove everything that `make up` made except meltano/.env and .venv."""
    down(airflow)
    meltano = airflow.checkout / "meltano"
    for folder in (airflow.state, meltano / ".meltano", meltano / "output"):
        if folder.exists():
            shutil.rmtree(folder)
            say(f"Removed {folder}")
    say("meltano/.env is kept, as it may hold your secrets.")


def _install_plugins(airflow: LocalAirflow) -> None:
    """Install the Meltano project's plugins, unless their definitions are unchanged."""
    checkout = airflow.checkout
    sources = sorted(file for pattern in _PLUGIN_SOURCES for file in checkout.glob(pattern))
    definitions = "\n".join([str(checkout), *(file.read_text() for file in sources)])
    stamp = checkout / "meltano/.meltano/installed"
    if stamp.is_file() and stamp.read_text() == definitions:
        say("Meltano's plugins are installed.")
        return
    say("Installing Meltano's plugins ...")
    airflow.state.mkdir(exist_ok=True)
    log = airflow.log_file("meltano-install")
    with log.open("wb") as output:
        done = subprocess.run(
            ["meltano", "--environment=dev", "install", "--clean"],  # noqa: S607 - on the PATH given
            cwd=checkout / "meltano",
            env=airflow.environ,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        tail = airflow.log_tail("meltano-install")
        raise LocalError(f"`meltano install` failed, see {log}; its last lines are:\n{tail}")
    stamp.write_text(definitions)
