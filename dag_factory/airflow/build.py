"""Turns plans into Airflow DAGs. A DAG that Airflow would reject does not affect the other DAGs.

The DAG processor builds and checks every DAG; a worker builds only the DAG of its task.
"""

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

_MOST_TASKS_WITHOUT_GROUPS = 6
_NUL_IN_JSON = b"\\u0000"


def wanted_task() -> AirflowParsingContext:
    """Return the IDs of the DAG and task that a worker runs; in the DAG processor, both are `None`.

    Source: https://airflow.apache.org/docs/apache-airflow/stable/howto/dynamic-dag-generation.html
    """
    return get_parsing_context()


def build_dags(
    plans: Iterable[DagPlan], settings: Settings, state: DagPlan | None = None
) -> tuple[dict[str, DAG], tuple[Problem, ...]]:
    """Build a DAG for each plan; in a worker, only the DAG of its task.

    An invalid argument is the only reason to read the project again: to find its place.

    Args:
        plans: The plans of the jobs.
        settings: The settings of the deployment.
        state: The plan of the DAG that manages the project's state.

    Returns:
        The DAGs by their IDs, and a problem for each DAG that Airflow would reject. A DAG that
        cannot be serialised would take every DAG of its file offline.
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
                _check_can_be_stored(dag)
        except WrongArgumentError as error:
            wrong.append((plan, error))
        except Exception as error:  # noqa: BLE001 - any failure concerns only this DAG
            message = f"job {plan.job!r}: Airflow rejects its DAG: {error}"
            location = Location(project_root / plan.file, plan.line)
            hint = "Airflow gives this reason; please report it if the job looks correct"
            problems.append(Problem(Code.DAG_NOT_BUILT, location, message, hint))
        else:
            dags[plan.dag_id] = dag
    problems += _wrong_arguments(wrong, settings) if wrong else ()
    return dags, tuple(problems)


def _wrong_arguments(
    wrong: Iterable[tuple[DagPlan, WrongArgumentError]], settings: Settings
) -> Iterator[Problem]:
    """Yield a problem for each argument, at its place, or at the job's if it was removed since."""
    planned = read_and_plan(settings)
    for plan, error in wrong:
        sources = planned.option_sources(plan)
        task_id = error.holder.task_id
        places = sources.of_dag if task_id is None else sources.of_tasks.get(task_id, {})
        job = Location(settings.project_root / plan.file, plan.line)
        place = places.get(f"{error.holder.option}.{error.argument}", (job,))[-1]
        yield Problem(Code.WRONG_ARGUMENT, place, f"job {plan.job!r}: {error}", error.hint)


def _check_can_be_stored(dag: DAG) -> None:
    """Raise an error for a DAG that Airflow cannot store: all DAGs of its file would fail."""
    dag.validate()  # type: ignore[no-untyped-call]
    for task in dag.tasks:
        if task.executor:
            ExecutorLoader.lookup_executor_name_by_str(task.executor)
    stored = msgspec.json.encode(DagSerialization.to_dict(dag))
    if _NUL_IN_JSON in stored:
        raise ValueError("one of its texts contains a NUL character, which PostgreSQL rejects")


def _build_state_dag(plan: DagPlan, project_root: Path) -> DAG:
    from dag_factory.airflow.state_dag import build_state_dag  # noqa: PLC0415 - a worker seldom needs it

    return build_state_dag(plan, project_root)


def stand_in(problems: Iterable[Problem], project_root: Path) -> dict[str, DAG]:
    """Return a DAG, by its ID, whose task fails with the reason why the project cannot be read.

    A worker gets it for its task. The DAG processor, or a project that can be read, gets none.
    """
    wanted = wanted_task()
    fatal = [each for each in problems if each.severity is Severity.PROJECT]
    if not (wanted.dag_id and wanted.task_id and fatal):
        return {}
    more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
    hint = "set DAG_FACTORY_STATE_DIR to keep the last good plan"
    reason = f"{fatal[0].text(project_root)}{more}; {hint}"
    with DAG(dag_id=wanted.dag_id, auto_register=False) as dag:
        StandInOperator(task_id=wanted.task_id, reason=reason)
    return {wanted.dag_id: dag}


def build_dag(plan: DagPlan, project_root: Path) -> DAG:
    """Build the DAG of a job.

    The DAG does not register itself when it is built: the DAG file that only reports problems
    builds it too.

    Raises:
        WrongArgumentError: The option `dag`, `operator` or `params` contains an invalid argument.
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
            _done_task(plan).set_upstream([tasks[each] for each in plan.last])
    # Set last, because each task would store a copy of them.
    dag.params = dag_params(plan)
    return dag


def _groups(tasks: Iterable[TaskPlan]) -> Iterator[tuple[str, tuple[TaskPlan, ...]]]:
    """Yield the tasks by groups that the UI can collapse; few tasks have one without a name.

    Consecutive tasks that all load data form a group, and so do those that all do not. A task ID
    does not contain the group's name.
    """
    tasks = tuple(tasks)
    if len(tasks) <= _MOST_TASKS_WITHOUT_GROUPS:
        yield "", tasks
        return
    used = {task.task_id for task in tasks}
    for loads, members in groupby(tasks, key=lambda task: bool(task.state_ids)):
        names = (f"{'load' if loads else 'commands'}_{number}" for number in count(1))
        name = next(each for each in names if each not in used)
        used.add(name)
        yield name, tuple(members)


def _done_task(plan: DagPlan) -> BaseOperator:
    """Return a task that updates the job's asset after all of its last tasks."""
    from airflow.providers.standard.operators.empty import (  # noqa: PLC0415 - few jobs need it
        EmptyOperator,
    )

    used = [task.task_id for task in plan.tasks]
    names = chain(["done"], (f"done.{number}" for number in count(2)))
    task_id = next(each for each in names if each not in used)
    last_task = task_arguments(plan, plan.tasks[-1])
    inherited = ("owner", "queue", "pool", "retries", "retry_delay")
    arguments = {name: last_task[name] for name in inherited if name in last_task}
    return EmptyOperator(task_id=task_id, outlets=[job_asset(plan.dag_id)], **arguments)
