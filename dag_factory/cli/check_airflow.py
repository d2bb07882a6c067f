"""What `meltano-dags check --airflow` looks for: what only a running Airflow can tell.

It is run where a component of Airflow runs, with that component's configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from dag_factory.airflow.build import build_dags
from dag_factory.errors import Code, Location, Problem, UsageError
from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planned_project import PlannedProject
from dag_factory.settings import Settings

_CONNECTION = "smtp_default"


def airflow_problems(planned: PlannedProject, settings: Settings) -> tuple[Problem, ...]:
    """Return what of a deployment's plans this Airflow cannot run.

    Raises:
        UsageError: Airflow's database cannot be asked.
    """
    _, unbuilt = build_dags(planned.plans, settings)
    checker = _Checker(planned, settings)
    found = [problem for plan in planned.plans for problem in checker.problems(plan)]
    return (*unbuilt, *found, *_pod_problems(planned))


def _pod_problems(planned: PlannedProject) -> Iterator[Problem]:
    if any(task.options.pod_override for plan in planned.plans for task in plan.tasks):
        from dag_factory.cli.check_pod_keys import pod_problems  # noqa: PLC0415 - 1 s, and seldom needed

        yield from pod_problems(planned)


class _Checker:
    """Checks one plan after another; asks Airflow once."""

    def __init__(self, planned: PlannedProject, settings: Settings) -> None:
        self.option_sources = planned.option_sources
        self.root = settings.project_root
        self.has_timetable = _has_timetable()
        with _database():
            self.pools = _pools()
            self.has_connection = _has_connection()

    def problems(self, plan: DagPlan) -> Iterator[Problem]:
        here = Location(self.root / plan.file, plan.line)
        if not plan.is_uniform and not self.has_timetable:
            message = f"job {plan.job!r} needs this package's timetable, which Airflow has not"
            hint = "install the package where the scheduler and every other component runs"
            yield Problem(Code.MISSING_TIMETABLE, here, message, hint)
        sources = self.option_sources(plan)
        for task in plan.tasks:
            pool = task.options.pool
            if pool is not None and pool not in self.pools:
                place = sources.of_tasks[task.task_id]["pool"][-1]
                message = f"job {plan.job!r}: there is no pool {pool!r} in Airflow"
                hint = f"make it: airflow pools set {pool} SLOTS DESCRIPTION; tasks wait until then"
                yield Problem(Code.UNKNOWN_POOL, place, message, hint)
        for notifier in plan.options.notify:
            reason = _unimportable(notifier.class_path)
            if reason:
                place = sources.of_dag["notify"][-1]
                message = f"job {plan.job!r}: the notifier {notifier.class_path} is not there"
                hint = f"install its package, or correct the path: {reason}"
                yield Problem(Code.UNKNOWN_NOTIFIER, place, message, hint)
        if plan.options.email and not self.has_connection:
            place = sources.of_dag["email"][-1]
            message = f"there is no connection {_CONNECTION!r} in Airflow, so no mail is sent"
            hint = "add it: type smtp, with a host, a port and the address to send from"
            yield Problem(Code.MISSING_CONNECTION, place, message, hint)


@contextmanager
def _database() -> Iterator[None]:
    """Tell the user where Airflow's database cannot be asked."""
    from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except (AirflowException, SQLAlchemyError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"Airflow's database cannot be asked: {reason}; run it where the scheduler runs"
        raise UsageError(msg) from error


def _pools() -> set[str]:
    from airflow.models.pool import Pool  # noqa: PLC0415 - 1 s, and opens the database
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        return {str(pool.pool) for pool in Pool.get_pools(session=session)}


def _has_timetable() -> bool:
    from airflow.plugins_manager import get_timetables_plugins  # noqa: PLC0415

    return "dag_factory.airflow.timetables.MeltanoTimetable" in get_timetables_plugins()


def _has_connection() -> bool:
    from airflow.models.connection import Connection  # noqa: PLC0415
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    try:
        Connection.get_connection_from_secrets(_CONNECTION)
    except AirflowNotFoundException:
        return False
    return True


def _unimportable(path: str) -> str | None:
    module, _, name = path.rpartition(".")
    try:
        getattr(import_module(module), name)
    except Exception as error:  # noqa: BLE001 - a module of somebody else's may raise anything
        return f"{type(error).__name__}: {error}"
    return None
