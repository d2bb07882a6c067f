"""The maintenance DAG `meltano_state`: manages Meltano's state and its locks from Airflow's UI.

The DAG processor builds the DAG. A worker builds it too, and calls `prepare_action` when the task
starts.
"""

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

_STATE_ID_LENGTH = 1000
_DOC = """
Manages the state of this Meltano project: the bookmarks from which its runs continue. Trigger the
DAG manually; the result is in the log of its task.

| Action | What it does | Fields |
|---|---|---|
| List | Lists the state IDs that have state. | |
| Show | Shows the state of a state ID. | `state_id` |
| Copy | Copies the state of `state_id` to `target`. If `target` has state, that state is lost; \
confirm this by repeating `target` in `confirm`. | `state_id`, `target`, `confirm` |
| Clear | Deletes the state of a state ID; its next run loads everything again. Confirm this by \
repeating the state ID in `confirm`. | `state_id`, `confirm` |
| Release lock | Releases the lock of a killed run, so that its state ID can run again. Otherwise \
Meltano waits until five minutes after the run's last heartbeat. A live run keeps its lock. \
| `state_id` |

A state ID is `ENVIRONMENT:EXTRACTOR-to-LOADER`, with `:SUFFIX` at the end if one is set. For a
schedule with `extractor` and `loader`, it is the name of the schedule. Before any state is lost,
the log shows the command that restores it. Copy or clear state only while no run of the state ID is
active: a run writes its state when it ends.
"""


def build_state_dag(plan: DagPlan, project_root: Path) -> DAG:
    """Build the maintenance DAG of a project.

    Args:
        plan: The plan that `plan_state` returned.
        project_root: The folder that holds `meltano.yml`.
    """
    with DAG(
        dag_id=plan.dag_id,
        description="List, show, copy or clear Meltano's state; release the lock of a killed run.",
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
        "maxLength": _STATE_ID_LENGTH,
    }
    return {
        "action": Param(
            Action.LIST.value,
            type="string",
            enum=[each.value for each in Action],
            values_display={each.value: each.replace("_", " ").capitalize() for each in Action},
            title="Action",
            description="The DAG's documentation explains each action.",
        ),
        "state_id": Param(
            None,
            **state_id,
            title="State ID",
            description="For example dev:tap-a-to-target-x. List shows all state IDs with state.",
        ),
        "target": Param(
            None,
            **state_id,
            title="Target",
            description="For Copy: the state ID that receives the state.",
        ),
        "confirm": Param(
            None,
            **state_id,
            title="Confirm",
            description="Repeat the state ID whose state will be lost: for Clear, and for Copy if"
            " the target has state.",
        ),
    }


def prepare_action(task: TaskPlan, context: Mapping[str, Any]) -> PreparedRun:
    """Return the command for the action that was chosen in the form.

    Args:
        task: The only task of the DAG.
        context: Airflow's context of the task instance.

    Raises:
        AirflowFailException: The fields of the form do not fit together, although each is valid.
    """
    try:
        argv = command(context["params"])
    except RefusedError as error:
        raise AirflowFailException(str(error)) from None
    return PreparedRun(argv, job_trigger(context["dag_run"]), secrets=secrets_to_read(task))
