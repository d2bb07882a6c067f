"""The steps that `make up` and `make kube-up` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings
from local_platform.airflow_server import COMPONENTS, LocalAirflow
from local_platform.console import LocalError, TookTooLongError, say, wait_for

FIRST_JOB = "reference_data"
_FINISHED = ("success", "failed")
_HEALTHY_SECONDS = 300
# A task that `make down` stopped waits for its retry_delay, by default six minutes.
_RUN_SECONDS = 900
_NAMED = 3


def is_running(airflow: LocalAirflow, port: int, stop: str) -> bool:
    """Return whether all of Airflow is running; print its URL, and what needs a `stop` first."""
    if len(airflow.processes()) < len(COMPONENTS) or airflow.unhealthy():
        return False
    say(f"Airflow is running at {airflow.url}")
    if not airflow.url.endswith(f":{port}"):
        say(f"    to use port {port}, stop it first: {stop}")
    if changed := airflow.changed_variables():
        say(f"    to use the changed {', '.join(changed)}, stop it first: {stop}")
    return True


def start(airflow: LocalAirflow) -> None:
    """Start the components of Airflow that are not running; wait until all are healthy.

    Whatever goes wrong, no component is left running.

    Raises:
        LocalError: A component ended, or was not healthy in time; the message names its log.
    """
    say(f"Starting Airflow at {airflow.url}")
    try:
        airflow.migrate()
        # A scheduler that starts before the API server answers loses the tasks that are due.
        _start_components(airflow, "api-server")
        _start_components(airflow, *COMPONENTS)
    except BaseException:
        airflow.stop()
        raise


def _start_components(airflow: LocalAirflow, *names: str) -> None:
    """Start components, and wait until they are healthy.

    Raises:
        LocalError: One of them ended, or was not healthy in time.
    """

    def unhealthy() -> str:
        for name in names:
            if name not in airflow.processes():
                raise LocalError(
                    f"Airflow's {name} ended, see {airflow.log_file(name)}; its last lines are:\n"
                    f"{airflow.log_tail(name)}"
                )
        # The REST API writes dag_processor.
        components = [each.replace("_", "-") for each in airflow.unhealthy()]
        return ", ".join(each for each in components if each in names or each not in COMPONENTS)

    airflow.start(*names)
    try:
        wait_for(unhealthy, limit=_HEALTHY_SECONDS)
    except TookTooLongError as error:
        logs = ", ".join(str(airflow.log_file(name)) for name in names)
        raise LocalError(f"Airflow does not start: {error}; its logs are {logs}") from None


def planned_dags(settings: Settings) -> tuple[DagPlan, ...]:
    """Return the plans of the jobs in meltano.yml; print its problems.

    Raises:
        LocalError: No job can run.
    """
    planned = check_project(settings)
    for problem in planned.problems:
        say(f"    {problem.text(settings.project_root)}")
    if not planned.plans:
        raise LocalError("no job in meltano/meltano.yml can run; fix the problems above")
    return planned.plans


def show_dags(api: httpx.Client, plans: Sequence[DagPlan]) -> None:
    """Wait until Airflow has a DAG for every job, and list the DAGs."""

    def missing() -> str | None:
        left = [each.dag_id for each in plans if api.get(f"dags/{each.dag_id}").is_error]
        if len(left) == len(plans):
            return f"{len(left)} DAGs"
        names = ", ".join(left[:_NAMED]) + (" ..." if len(left) > _NAMED else "")
        return f"{len(left)} of {len(plans)} DAGs: {names}" if left else None

    wait_for(missing, limit=180)
    say("DAGs, one per job of meltano/meltano.yml:")
    for plan in plans:
        say(f"    {plan.dag_id:<20} {plan.start:<21} {len(plan.tasks)} task(s)")


def first_run(api: httpx.Client, dag_id: str) -> None:
    """Run a DAG and wait for the end, unless a run has succeeded before or is still going on.

    Raises:
        LocalError: The run failed.
    """
    runs = f"dags/{dag_id}/dagRuns"
    if _get(api, runs, state="success", limit=1)["dag_runs"]:
        say(f"{dag_id} has run before.")
        return
    unfinished_runs = _get(api, runs, state=["queued", "running"], limit=1)["dag_runs"]
    if unfinished_runs:
        run = unfinished_runs[0]
    else:
        run = api.post(runs, json={"logical_date": None}).raise_for_status().json()
    path = f"dags/{dag_id}/dagRuns/{run['dag_run_id']}"
    state = ""

    def unfinished() -> str | None:
        nonlocal state
        state = _get(api, path)["state"]
        return None if state in _FINISHED else f"the run of {dag_id} ({state})"

    wait_for(unfinished, limit=_RUN_SECONDS)
    url = f"{api.base_url.copy_with(path='/')}dags/{dag_id}/runs/{run['dag_run_id']}"
    if state != "success":
        raise LocalError(f"the run of {dag_id} failed; its log is at {url}")
    say(f"{dag_id} ran to success: {url}")


def show_login(airflow: LocalAirflow, stop: str) -> None:
    """Print how to log in and what to do next."""
    say(f"Open {airflow.url} and log in as admin, password {airflow.passwords['admin']}")
    say(f"Add a job and a schedule to meltano/meltano.yml, and watch its DAG appear. Stop: {stop}")


def _get(api: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    return dict(api.get(path, params=params).raise_for_status().json())
