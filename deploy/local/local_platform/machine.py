"""The platform with its tasks as processes: `make up`, `make down`, `make clean`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from dag_factory.settings import Settings
from local_platform.airflow_server import LocalAirflow
from local_platform.console import Stopwatch, say
from local_platform.steps import (
    FIRST_JOB,
    first_run,
    is_running,
    planned_dags,
    show_dags,
    show_login,
    start,
)
from local_platform.subprocesses import lock, run_command
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
    watch = Stopwatch()
    plans = planned_dags(Settings(airflow.checkout / "meltano"))
    if not airflow.processes():
        airflow.check_port(port)
    with lock(airflow.state):
        with watch.step("Meltano's plugins"):
            _install_plugins(airflow)
        with watch.step("Airflow"):
            if not is_running(airflow, port, "make down"):
                if not airflow.processes():
                    airflow.configure(port)
                    airflow.write_dotenv()
                start(airflow)
        with airflow.api() as api:
            with watch.step("DAGs"):
                show_dags(api, plans)
            with watch.step("first run"):
                first_run(api, FIRST_JOB)
        warehouse = Path("meltano/output/warehouse.duckdb")
        say(f"Rows in {warehouse}:")
        say(row_counts(airflow.checkout / warehouse))
    say(str(watch))
    show_login(airflow, "make down")


def down(airflow: LocalAirflow) -> None:
    """Stop Airflow; keep its history and the warehouse."""
    with lock(airflow.state):
        _stop(airflow)


def _stop(airflow: LocalAirflow) -> None:
    say("Airflow is stopped." if airflow.stop() else "Airflow was not running.")


def clean(airflow: LocalAirflow) -> None:
    """Stop Airflow and remove everything that `make up` made except meltano/.env and .venv."""
    with lock(airflow.state):
        _stop(airflow)
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
    stamp.unlink(missing_ok=True)
    run_command(
        *("meltano", "--environment=dev", "install", "--clean"),
        waiting=_plugins_left,
        log=airflow.log_file("meltano-install"),
        cwd=checkout / "meltano",
        environ=airflow.environ,
    )
    stamp.write_text(definitions)


def _plugins_left(log: str) -> str:
    """Return the plugins that Meltano is installing, by what it has printed."""
    begun = re.findall(r"Installing \w+ '(.+)'", log)
    done = set(re.findall(r"Installed \w+ '(.+)'", log))
    return ", ".join(name for name in begun if name not in done) or "meltano install"
