"""From plans to Airflow DAGs. One bad DAG never reaches Airflow, and never hurts a good one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain, count, groupby
from pathlib import Path

import msgspec
from airflow.executors.executor_loader import ExecutorLoader
from airflow.sdk import DAG, BaseOperator, TaskGroup, get_parsing_context
from airflow.sdk.definitions.context import AirflowParsingContext
from airflow.serialization.serialized_objects import DagSerialization

from dag_factory.airflow.arguments import (
    WrongArgumentError,
    dag_arguments,
    dag_params,
    task_arguments,
)
from dag_factory.airflow.schedules import job_asset
from dag_factory.errors import Code, Location, Problem, Severity
from dag_factory.planning.plan import DagPlan, TaskPlan
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.runners.factory import make_task
from dag_factory.runners.unreadable_project import StandInOperator
from dag_factory.settings import Settings

_HANDFUL = 6
_NUL = b"\\u0000"


def wanted_task() -> AirflowParsingContext:
    """Return the ids of the one DAG and task that a worker needs; in the DAG processor, neither.

    Source: https://airflow.apache.org/docs/apache-airflow/stable/howto/dynamic-dag-generation.html
    """
    return get_parsing_context()


def build_dags(
    plans: Iterable[DagPlan], settings: Settings, state: DagPlan | None = None
) -> tuple[dict[str, DAG], tuple[Problem, ...]]:
    """Build a DAG for each plan.

    A worker that runs a task needs one DAG only, and says which (`wanted_task`). The project is
    read again only where an argument is wrong, to say where it stands.

    Args:
        plans: Those of jobs.
        settings: Those of the deployment.
        state: That of the DAG that looks after the project's state.

    Returns:
        The DAGs by their ids, and a problem for each that Airflow would refuse: a DAG that fails
        to serialise takes every DAG of its file offline.
    """
    wanted, project_root = wanted_task().dag_id, settings.project_root
    dags: dict[str, DAG] = {}
    problems: list[Problem] = []
    wrong: list[tuple[DagPlan, WrongArgumentError]] = []
    for plan in (*plans, *filter(None, [state])):
        if wanted not in (None, plan.dag_id):
            continue
        try:
            dag = (_build_state_dag if plan is state else build_dag)(plan, project_root)
            if wanted is None:
                _check(dag)
        except WrongArgumentError as error:
            wrong.append((plan, error))
        except Exception as error:  # noqa: BLE001 - any failure concerns this DAG alone
            message = f"job {plan.job!r}: Airflow refuses its DAG: {error}"
            location = Location(project_root / plan.file, plan.line)
            hint = "the reason is Airflow's own; please report it if the job looks right"
            problems.append(Problem(Code.DAG_NOT_BUILT, location, message, hint))
        else:
            dags[plan.dag_id] = dag
    problems += _wrong_arguments(wrong, settings) if wrong else ()
    return dags, tuple(problems)


def _wrong_arguments(
    wrong: Iterable[tuple[DagPlan, WrongArgumentError]], settings: Settings
) -> Iterator[Problem]:
    """Yield a problem for each, where the argument stands; the job's own place where it is gone."""
    planned = read_and_plan(settings)
    for plan, error in wrong:
        sources = planned.option_sources(plan)
        task_id = error.holder.task_id
        places = sources.of_dag if task_id is None else sources.of_tasks.get(task_id, {})
        job = Location(settings.project_root / plan.file, plan.line)
        place = places.get(f"{error.holder.option}.{error.argument}", (job,))[-1]
        yield Problem(Code.WRONG_ARGUMENT, place, f"job {plan.job!r}: {error}", error.hint)


def _check(dag: DAG) -> None:
    """Refuse what Airflow would take from us, and then fail with: all DAGs of the file."""
    dag.validate()  # type: ignore[no-untyped-call]
    for task in dag.tasks:
        if task.executor:
            ExecutorLoader.lookup_executor_name_by_str(task.executor)
    stored = msgspec.json.encode(DagSerialization.to_dict(dag))
    if _NUL in stored:
        raise ValueError("a text of it holds a NUL, which PostgreSQL refuses")


def _build_state_dag(plan: DagPlan, project_root: Path) -> DAG:
    from dag_factory.airflow.state_dag import build_state_dag  # noqa: PLC0415 - a worker seldom needs it

    return build_state_dag(plan, project_root)


def stand_in(problems: Iterable[Problem], project_root: Path) -> dict[str, DAG]:
    """Return a DAG for a worker's task whose project cannot be read, by its id: it says why.

    In the DAG processor, or for a project that can be read, there is none.
    """
    wanted = wanted_task()
    fatal = [each for each in problems if each.severity is Severity.PROJECT]
    if not (wanted.dag_id and wanted.task_id and fatal):
        return {}
    more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
    reason = f"{fatal[0].text(project_root)}{more}; DAG_FACTORY_STATE_DIR would keep the last plan"
    with DAG(dag_id=wanted.dag_id, auto_register=False) as dag:
        StandInOperator(task_id=wanted.task_id, reason=reason)
    return {wanted.dag_id: dag}


def build_dag(plan: DagPlan, project_root: Path) -> DAG:
    """Build one DAG.

    Airflow finds it by its name in the DAG file, not by its construction: the file that only looks
    for problems builds it too.

    Raises:
        WrongArgumentError: `dag`, `operator` or `params` has what Airflow does not take.
    """
    with DAG(**dag_arguments(plan)) as dag:
        tasks: dict[str, BaseOperator] = {}
        for group, members in _groups(plan.tasks):
            with TaskGroup(group, prefix_group_id=False) if group else nullcontext():
                for task in members:
                    arguments = task_arguments(plan, task)
                    tasks[task.task_id] = make_task(plan, task, project_root, arguments)
        for task in plan.tasks:
            tasks[task.task_id].set_upstream([tasks[each] for each in task.upstream])
        if len(plan.last) > 1:
            _end(plan).set_upstream([tasks[each] for each in plan.last])
    # At the end: each task would get, and store, a copy of its own.
    dag.params = dag_params(plan)
    return dag


def _groups(tasks: Iterable[TaskPlan]) -> Iterator[tuple[str, tuple[TaskPlan, ...]]]:
    """Yield the tasks, with the name of a group to fold away where there are many.

    Tasks that follow each other and load, or that do not, are one group. A group is no part of a
    task's id.
    """
    tasks = tuple(tasks)
    if len(tasks) <= _HANDFUL:
        yield "", tasks
        return
    used = {task.task_id for task in tasks}
    for loads, members in groupby(tasks, key=lambda task: bool(task.state_ids)):
        names = (f"{'load' if loads else 'commands'}_{number}" for number in count(1))
        name = next(each for each in names if each not in used)
        used.add(name)
        yield name, tuple(members)


def _end(plan: DagPlan) -> BaseOperator:
    """Return a task that says that the job is done: no single task of it does."""
    from airflow.providers.standard.operators.empty import (  # noqa: PLC0415 - for the few
        EmptyOperator,
    )

    used = [task.task_id for task in plan.tasks]
    names = chain(["done"], (f"done.{number}" for number in count(2)))
    task_id = next(each for each in names if each not in used)
    of_last = task_arguments(plan, plan.tasks[-1])
    inherited = ("owner", "queue", "pool", "retries", "retry_delay")
    arguments = {name: of_last[name] for name in inherited if name in of_last}
    return EmptyOperator(task_id=task_id, outlets=[job_asset(plan.dag_id)], **arguments)
