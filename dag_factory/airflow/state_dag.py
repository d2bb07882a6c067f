"""The maintenance DAG `meltano_state`: Meltano's state and its locks, from Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException

from dag_factory.airflow.arguments import task_arguments
from dag_factory.planning.plan import DagPlan, TaskPlan
from dag_factory.pod.meltano_state import STATE_ID, Action, RefusedError, command
from dag_factory.runners.factory import make_task
from dag_factory.runners.prepare import PreparedRun, job_trigger, secrets_to_read

_LONGEST = 1000
_DOC = """
Looks after the state of this Meltano project: the bookmarks from which its runs carry on. Trigger
it by hand; what it finds is in the log of its task.

| action | what it does | needs |
|---|---|---|
| List | Names the state IDs that have state. | |
| Show | Shows the state of one. | `state_id` |
| Copy | Gives one's state to another; asks again where that one has state, which is lost. \
| `state_id`, `target`, `confirm` where it asks |
| Clear | Forgets the state of one: its next run loads everything again. \
| `state_id`, twice: again in `confirm` |
| Release lock | Lets a state ID run again whose run was killed: Meltano alone waits until five \
minutes after its last heartbeat. A run that lives keeps its lock. | `state_id` |

A state ID is `ENVIRONMENT:EXTRACTOR-to-LOADER`, with `:SUFFIX` where there is one; that of a
schedule with `extractor` and `loader` is its name. Before state is lost, the log gets the command
that puts it back. Copy and clear while no run of the state ID is going: a run writes its state when
it ends.
"""


def build_state_dag(plan: DagPlan, project_root: Path) -> DAG:
    """Build the maintenance DAG of a project.

    Args:
        plan: What `plan_state` returned.
        project_root: The folder that holds `meltano.yml`.
    """
    with DAG(
        dag_id=plan.dag_id,
        description="List, show, copy and clear Meltano's state; release a dead lock.",
        doc_md=_DOC,
        tags=plan.tags,
        schedule=None,
        params=_form(),
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,
    ) as dag:
        (task,) = plan.tasks
        arguments = {**task_arguments(plan, task), "outlets": []}
        make_task(plan, task, project_root, arguments, partial(prepare_action, task))
    return dag


def _form() -> dict[str, Param]:
    state_id: dict[str, Any] = {
        "type": ["null", "string"],
        "pattern": STATE_ID,
        "maxLength": _LONGEST,
    }
    return {
        "action": Param(
            Action.LIST.value,
            type="string",
            enum=[each.value for each in Action],
            values_display={each.value: each.replace("_", " ").capitalize() for each in Action},
            title="Action",
            description="Each is explained on the DAG's page.",
        ),
        "state_id": Param(
            None,
            **state_id,
            title="State ID",
            description="Such as dev:tap-a-to-target-x; List names those that have state.",
        ),
        "target": Param(
            None,
            **state_id,
            title="Target",
            description="For Copy: the state ID that gets the state.",
        ),
        "confirm": Param(
            None,
            **state_id,
            title="Confirm",
            description="The state ID whose state is lost, once more: for Clear, and for Copy where"
            " the target has state.",
        ),
    }


def prepare_action(task: TaskPlan, context: Mapping[str, Any]) -> PreparedRun:
    """Return what does what the form says.

    Args:
        task: The DAG's one task.
        context: Airflow's, of the task instance.

    Raises:
        AirflowFailException: Its fields do not go together; each by itself is right.
    """
    try:
        argv = command(context["params"])
    except RefusedError as error:
        raise AirflowFailException(str(error)) from None
    return PreparedRun(argv, job_trigger(context["dag_run"]), secrets=secrets_to_read(task))
