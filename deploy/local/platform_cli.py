"""The platform on one machine: `make up`, `make down`, `make clean`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import httpx
from airflow_server import COMPONENTS, LocalAirflow, LocalError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed
from warehouse_rows import counted

from dag_factory.errors import SettingsError
from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
FIRST_JOB = "reference_data"
_FINISHED = ("success", "failed")
_NEWS_SECONDS = 10


class TookTooLongError(LocalError):
    """Something did not happen in time; logs may say why."""


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def wait_for(what: Callable[[], str | None], limit: float) -> None:
    """Wait until `what` returns nothing more to wait for; report what is left meanwhile.

    Raises:
        TookTooLongError: It took longer than `limit` seconds.
    """
    started = time.monotonic()
    last = ("", 0.0)

    def look() -> str | None:
        nonlocal last
        left = what()
        seconds = time.monotonic() - started
        if left and (left != last[0] or seconds - last[1] >= _NEWS_SECONDS):
            say(f"    waiting for {left} ({seconds:.0f} s)")
            last = (left, seconds)
        return left

    try:
        Retrying(retry=retry_if_result(bool), stop=stop_after_delay(limit), wait=wait_fixed(1))(
            look
        )
    except RetryError:
        raise TookTooLongError(f"gave up waiting for {last[0]} after {limit:.0f} s") from None


def install_plugins(airflow: LocalAirflow) -> None:
    """Install the Meltano project's plugins, unless their definitions are unchanged."""
    project = CHECKOUT / "meltano"
    patterns = ["requirements.lock", "extractors/*/pyproject.toml", "meltano/*.yml"]
    patterns += ["meltano/*/*.yml", "meltano/*/*.lock", "meltano/*/*/pyproject.toml"]
    sources = sorted(file for pattern in patterns for file in CHECKOUT.glob(pattern))
    wanted = "\n".join([str(CHECKOUT), *(file.read_text() for file in sources)])
    stamp = project / ".meltano" / "installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        say("Meltano's plugins are installed.")
        return
    say("Installing Meltano's plugins ...")
    airflow.state.mkdir(exist_ok=True)
    log = airflow.state / "meltano-install.log"
    with log.open("wb") as output:
        command = ["meltano", "--environment=dev", "install", "--clean"]
        done = subprocess.run(
            command, cwd=project, env=airflow.environ, stdout=output, stderr=output, check=False
        )
    if done.returncode:
        tail = "\n".join(log.read_text().splitlines()[-5:])
        raise LocalError(f"`meltano install` failed, see {log}; it ends with:\n{tail}")
    stamp.write_text(wanted)


def is_running(airflow: LocalAirflow, port: int, stop: str) -> bool:
    """Return whether all of Airflow runs; say so, and where, and what needs a `stop` first."""
    if len(airflow.processes()) < len(COMPONENTS) or airflow.unhealthy():
        return False
    say(f"Airflow is running at {airflow.url}")
    if not airflow.url.endswith(f":{port}"):
        say(f"    to have it at port {port}, stop it first: {stop}")
    if changed := airflow.changed_variables():
        say(f"    to have it with this {', '.join(changed)}, stop it first: {stop}")
    return True


def start(airflow: LocalAirflow) -> None:
    """Start what does not run of Airflow, and wait until all of it is healthy."""
    say(f"Starting Airflow at {airflow.url}")
    airflow.migrate()

    def unhealthy(*started: str) -> str:
        for name in started:
            if name not in airflow.processes():
                raise LocalError(
                    f"Airflow's {name} ended; it printed last:\n{airflow.log_tail(name)}"
                )
        return ", ".join(airflow.unhealthy())

    # A scheduler that starts before the API server answers loses the tasks that are due.
    airflow.start("api-server")
    wait_for(lambda: "api-server" if "api-server" in unhealthy("api-server") else None, limit=300)
    airflow.start(*COMPONENTS)
    wait_for(lambda: unhealthy(*COMPONENTS), limit=300)


def planned_dags(settings: Settings) -> tuple[DagPlan, ...]:
    """Return what meltano.yml says; print what is wrong with it.

    Raises:
        LocalError: No job of it can run.
    """
    planned = check_project(settings)
    for problem in planned.problems:
        say(f"    {problem.text(settings.project_root)}")
    if not planned.plans:
        raise LocalError("no job of meltano/meltano.yml can run")
    return planned.plans


def show_dags(api: httpx.Client, plans: Sequence[DagPlan]) -> None:
    """Wait until Airflow has a DAG for every job, and list them."""

    def missing() -> str | None:
        left = [each.dag_id for each in plans if api.get(f"dags/{each.dag_id}").is_error]
        return f"the DAGs {', '.join(left)}" if left else None

    wait_for(missing, limit=180)
    say("DAGs, one per job of meltano/meltano.yml:")
    for plan in plans:
        say(f"    {plan.dag_id:<20} {plan.start:<21} {len(plan.tasks)} task(s)")


def first_run(api: httpx.Client, dag_id: str) -> None:
    """Have the scheduler run a DAG, unless it has succeeded before.

    Raises:
        LocalError: The run failed.
    """
    if _get(api, f"dags/{dag_id}/dagRuns", state="success", limit=1)["dag_runs"]:
        say(f"{dag_id} has run before.")
        return
    run = api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None}).raise_for_status().json()
    path = f"dags/{dag_id}/dagRuns/{run['dag_run_id']}"
    state = ""

    def unfinished() -> str | None:
        nonlocal state
        state = _get(api, path)["state"]
        return None if state in _FINISHED else f"the run of {dag_id} ({state})"

    wait_for(unfinished, limit=300)
    url = f"{api.base_url.copy_with(path='/')}dags/{dag_id}/runs/{run['dag_run_id']}"
    if state != "success":
        raise LocalError(f"the run of {dag_id} failed; its log is at {url}")
    say(f"{dag_id} ran to success: {url}")


def up(airflow: LocalAirflow, port: int) -> None:
    """Show the whole point of the project on this machine."""
    plans = planned_dags(Settings(CHECKOUT / "meltano"))
    install_plugins(airflow)
    if not is_running(airflow, port, "make down"):
        if not airflow.processes():
            airflow.configure(port)
            airflow.write_dotenv()
        start(airflow)
    with airflow.api() as api:
        show_dags(api, plans)
        first_run(api, FIRST_JOB)
    file = CHECKOUT / "meltano/output/warehouse.duckdb"
    say(f"Rows in {file.relative_to(CHECKOUT)}:")
    say(counted(file))
    say_goodbye(airflow, "make down")


def say_goodbye(airflow: LocalAirflow, stop: str) -> None:
    """Say how to go on."""
    say(f"Open {airflow.url} and log in as admin, password {airflow.passwords['admin']}")
    say(f"Add a job and a schedule to meltano/meltano.yml, and watch its DAG appear. Stop: {stop}")


def down(airflow: LocalAirflow) -> None:
    """Stop Airflow; its history and the warehouse stay."""
    say("Airflow is stopped." if airflow.stop() else "Airflow was not running.")


def clean(airflow: LocalAirflow) -> None:
    """Stop Airflow and forget everything that `make up` made, but for meltano/.env and .venv."""
    down(airflow)
    for folder in (airflow.state, CHECKOUT / "meltano/.meltano", CHECKOUT / "meltano/output"):
        if folder.exists():
            shutil.rmtree(folder)
            say(f"Removed {folder}")
    say("meltano/.env is kept: it may hold secrets of yours.")


def _get(api: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    return dict(api.get(path, params=params).raise_for_status().json())


def report(command: str, logs: Path, act: Callable[[], None]) -> int:
    """Run a command of the Makefile; a problem is one clear line and exit code 1."""
    try:
        act()
    except TookTooLongError as error:
        say(f"make {command}: {error}; see {logs}")
        return 1
    except (LocalError, SettingsError, OSError, httpx.HTTPError, duckdb.Error) as error:
        say(f"make {command}: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"make {command}: interrupted; run it again to carry on")
        return 130
    return 0


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["up", "down", "clean"])
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's UI (default: 8080)")
    arguments = parser.parse_args()
    airflow = LocalAirflow(CHECKOUT)
    acts: dict[str, Callable[[], None]] = {
        "up": lambda: up(airflow, arguments.port),
        "down": lambda: down(airflow),
        "clean": lambda: clean(airflow),
    }
    return report(arguments.command, airflow.log_file("*"), acts[arguments.command])


if __name__ == "__main__":
    sys.exit(main())
