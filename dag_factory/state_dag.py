"""The maintenance DAG `meltano_state`: Meltano's state and its locks, from Airflow's UI.

Source: https://docs.meltano.com/reference/command-line-interface#state
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dag_factory import release_lock
from dag_factory.plan import common_tags
from dag_factory.processes import ask_meltano
from dag_factory.runners.local import MeltanoOperator, find_executable
from dag_factory.runs import PreparedRun
from dag_factory.summary import LastError, read_log_line

_MELTANO = "meltano"
# With state in files, Meltano takes a state ID for a path, and removes whatever folder it names.
# A `$` alone would let a line break through.
_STATE_ID = r"^(?!/)(?!(.*/)?\.\.?(/|$))[^\x00-\x1f\x7f]+(?!\n)$"
_LONGEST = 1000
_XCOM_CHARACTERS = 50_000
_DOC = """
Looks after the state of this Meltano project: the bookmarks from which its runs carry on. Trigger
it by hand; what it finds is in the log of its task.

| action | what it does | needs |
|---|---|---|
| List | Names the state IDs that have state. | |
| Show | Shows the state of one; XCom has it too, unless it is long. | `state_id` |
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


class Action(StrEnum):
    """What the DAG can do, as its trigger form says it."""

    LIST = "list"
    SHOW = "show"
    COPY = "copy"
    CLEAR = "clear"
    RELEASE_LOCK = "release_lock"


def build_state_dag(project_root: Path, environment: str, *, dag_id: str = "meltano_state") -> DAG:
    """Build the maintenance DAG of a project.

    Args:
        project_root: The folder that holds `meltano.yml`.
        environment: The Meltano environment whose system database and state backend it looks into.
        dag_id: Its id.
    """
    with DAG(
        dag_id=dag_id,
        description="List, show, copy and clear Meltano's state; release a dead lock.",
        doc_md=_DOC,
        tags=common_tags(environment),
        schedule=None,
        params=_form(),
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,
    ) as dag:
        MeltanoStateOperator(
            task_id="state",
            prepare=prepare_action,
            project_root=str(project_root),
            environment=environment,
            retries=0,
        )
    return dag


def _form() -> dict[str, Param]:
    state_id: dict[str, Any] = {
        "type": ["null", "string"],
        "pattern": _STATE_ID,
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


class MeltanoStateOperator(MeltanoOperator):
    """Runs the action that the trigger form chose, once it is sure what is meant.

    Args:
        **kwargs: Those of `MeltanoOperator`.
    """

    def execute(self, context: Any) -> Any:
        """Do it, and say in the log what was found.

        Returns:
            The state IDs or the state that was asked for, unless that is long.

        Raises:
            AirflowFailException: The fields of the form do not go together, or there is no such
                state; no retry would help.
            AirflowException: Meltano failed; the message is its last error.
        """
        params = context["params"]
        if wrong := wrong_fields(params):
            raise AirflowFailException(wrong)
        match params["action"]:
            case Action.LIST:
                state_ids = sorted(self._ask("list").splitlines())
                return self._answer("State IDs that have state", state_ids)
            case Action.SHOW:
                state_id = params["state_id"]
                return self._answer(f"The state of {state_id}", self._known_state(state_id))
            case Action.COPY:
                self._known_state(params["state_id"])
                self._confirm_loss(params["target"], params["confirm"])
            case Action.CLEAR:
                self._log_way_back(params["state_id"], self._known_state(params["state_id"]))
        super().execute(context)
        if params["action"] == Action.CLEAR:
            self.log.info("%s has no state any more", params["state_id"])
        return None

    def _answer(self, what: str, found: Any) -> Any:
        text = json.dumps(found, indent=2, ensure_ascii=False)
        self.log.info("%s:\n%s", what, text)
        if len(text) > _XCOM_CHARACTERS:
            self.log.info("It is too long for an XCom: %s characters", len(text))
            return None
        return found

    def _confirm_loss(self, state_id: str, confirmed: str | None) -> None:
        state = self._state(state_id)
        if state and confirmed != state_id:
            msg = f"Nothing is copied: {state_id!r} has state; write it into confirm too"
            raise AirflowFailException(msg)
        if state:
            self._log_way_back(state_id, state)

    def _log_way_back(self, state_id: str, state: Mapping[str, Any]) -> None:
        command = (_MELTANO, "state", "set", "--force", "--", state_id, json.dumps(state))
        self.log.info("To put the state of %s back: %s", state_id, shlex.join(command))

    def _known_state(self, state_id: str) -> dict[str, Any]:
        state = self._state(state_id)
        if not state:
            msg = f"Meltano holds no state for {state_id!r}; `list` names those that have state"
            raise AirflowFailException(msg)
        return state

    def _state(self, state_id: str) -> dict[str, Any]:
        return dict(json.loads(self._ask("get", "--", state_id).splitlines()[-1]))

    def _ask(self, *words: str) -> str:
        """Return what a command of `meltano state` prints; it changes nothing."""
        command = (find_executable(_MELTANO), "state", *words)
        done = ask_meltano(command, Path(self.project_root), self.process_environment({}))
        if done.returncode:
            last_error = LastError()
            for entry in map(read_log_line, done.stderr.splitlines()):
                last_error.note(entry)
                self.log.log(entry.level, "%s", entry.text)
            reason = last_error.text or "see the log above"
            raise AirflowException(f"`meltano state {words[0]}` failed: {reason}")
        return done.stdout


def wrong_fields(params: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the fields of the form together; each by itself is right."""
    action, state_id, target = params["action"], params["state_id"], params["target"]
    if action != Action.LIST and not state_id:
        return f"{action} needs a state ID: fill in state_id; `list` names those that have state"
    if action == Action.CLEAR and params["confirm"] != state_id:
        return f"Nothing is cleared: write {state_id!r} into confirm too, to clear its state"
    if action == Action.COPY and target in (None, state_id):
        return "copy needs another state ID to copy to: fill in target"
    return None


def prepare_action(context: Mapping[str, Any]) -> PreparedRun:
    """Return what changes state or a lock; a state ID is one item of it, and never an option."""
    params, dag_run = context["params"], context["dag_run"]
    state_id = params["state_id"]
    argv: tuple[str, ...]
    match params["action"]:
        case Action.COPY:
            argv = (_MELTANO, "state", "copy", "--force", "--", state_id, params["target"])
        case Action.CLEAR:
            argv = (_MELTANO, "state", "clear", "--force", "--", state_id)
        case _:
            argv = (_meltano_python(), str(release_lock.__file__), "--", state_id)
    return PreparedRun(argv, {"MELTANO_JOB_TRIGGER": f"airflow:{dag_run.dag_id}/{dag_run.run_id}"})


def _meltano_python() -> str:
    executable = find_executable(_MELTANO)
    python = release_lock.meltano_python(Path(executable))
    if python is None:
        msg = f"{executable} does not tell which Python runs it: install Meltano by pip, uv or pipx"
        raise AirflowFailException(msg)
    return python
