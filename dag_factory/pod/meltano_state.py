"""Manages Meltano's state and its locks: `meltano-state ACTION [--] [STATE_ID ...]`.

The task of the DAG `meltano_state` runs this command, on an Airflow worker or in a pod, and so can
people; it does not need Airflow. Before state is lost it requires a confirmation, and prints the
command that restores the state. The project is in `MELTANO_PROJECT_ROOT` or else in the current
folder. Like Meltano, it prints JSON lines if `MELTANO_CLI_LOG_FORMAT` is `json`.

Source: https://docs.meltano.com/reference/command-line-interface#state
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from dag_factory.exit_codes import ExitCode, from_returncode
from dag_factory.meltano_process.log import read_log_line
from dag_factory.meltano_process.process import ask_meltano, find_command, find_project_root
from dag_factory.pod import release_lock

PROGRAM = "meltano-state"
# A `$` alone would accept a line break at the end.
STATE_ID = r"^(?!/)(?!(.*/)?\.\.?(/|$))[^\x00-\x1f\x7f]+(?!\n)$"
"""The pattern of a state ID. If state is in files, Meltano uses the state ID as a path, and deletes
any folder that it names."""
_MELTANO = "meltano"
_LIST_HINT = "`list` shows the state IDs that have state"


class Action(StrEnum):
    """The actions."""

    LIST = "list"
    SHOW = "show"
    COPY = "copy"
    CLEAR = "clear"
    RELEASE_LOCK = "release_lock"


_FIELDS: Mapping[str, tuple[str, ...]] = {
    Action.LIST: (),
    Action.SHOW: ("state_id",),
    Action.COPY: ("state_id", "target", "confirm"),
    Action.CLEAR: ("state_id", "confirm"),
    Action.RELEASE_LOCK: ("state_id",),
}
"""The state IDs that each action takes, in order; `confirm` only if state is lost."""


class RefusedError(Exception):
    """The action cannot be run with the given fields."""


def command(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command that runs an action; it never takes a state ID for an option.

    Args:
        fields: `action`, `state_id`, `target` and `confirm`; unused fields may be `None`.

    Raises:
        RefusedError: A field is missing or invalid.
    """
    if error := fields_error(fields):
        raise RefusedError(error)
    action = fields["action"]
    state_ids = filter(None, map(fields.get, _FIELDS[action]))
    return (PROGRAM, str(action), "--", *state_ids)


def fields_error(fields: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the fields, if anything is."""
    action, state_id, target = (fields.get(name) for name in ("action", "state_id", "target"))
    for each in filter(None, (state_id, target)):
        if not re.match(STATE_ID, each):
            return f"{each!r} is not a state ID; {_LIST_HINT}"
    if action != Action.LIST and not state_id:
        return f"{action} needs a state ID: fill in state_id; {_LIST_HINT}"
    if action == Action.CLEAR and fields.get("confirm") != state_id:
        return f"Nothing was cleared: write {state_id!r} into confirm too to clear its state"
    if action == Action.COPY and target in (None, state_id):
        return "copy needs another state ID to copy to: fill in target"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the action that the command line names.

    Returns:
        The exit code of Meltano, or `ExitCode.CONFIG_ERROR` (78) if the request is wrong.
    """
    try:
        _run_action(**_read_fields(argv))
    except RefusedError as error:
        _print(str(error), logging.ERROR)
        return ExitCode.CONFIG_ERROR
    except subprocess.CalledProcessError as error:
        return from_returncode(error.returncode)
    return 0


def _read_fields(argv: Sequence[str] | None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=(__doc__ or "").partition(":")[0])
    actions = parser.add_subparsers(dest="action", required=True)
    for action in Action:
        usage = " ".join([PROGRAM, action, "[--]", *map(str.upper, _FIELDS[action])])
        # One argument, not three: argparse drops a `--` from each.
        actions.add_parser(action.value, usage=usage).add_argument("state_ids", nargs="*")
    options = parser.parse_args(argv)
    names = _FIELDS[options.action]
    if len(options.state_ids) > len(names):
        parser.error(f"too many state IDs for {options.action}")
    given = dict(zip(names, options.state_ids, strict=False))
    fields = {"state_id": None, "target": None, "confirm": None, **given, "action": options.action}
    if error := fields_error(fields):
        raise RefusedError(error)
    return fields


def _run_action(action: str, state_id: str, target: str, confirm: str | None) -> None:
    match action:
        case Action.LIST:
            _print_result("State IDs that have state", sorted(_meltano_state("list").splitlines()))
        case Action.SHOW:
            _print_result(f"The state of {state_id}", _existing_state(state_id))
        case Action.COPY:
            _existing_state(state_id)
            _require_confirmation(target, confirm)
            _meltano_state("copy", "--force", "--", state_id, target)
            _print(f"{target} has the state of {state_id}")
        case Action.CLEAR:
            _print_restore_command(state_id, _existing_state(state_id))
            _meltano_state("clear", "--force", "--", state_id)
            _print(f"{state_id} no longer has state")
        case Action.RELEASE_LOCK:
            _print(_run(_meltano_python(), str(release_lock.__file__), "--", state_id).strip())


def _require_confirmation(state_id: str, confirmed: str | None) -> None:
    state = _state(state_id)
    if state and confirmed != state_id:
        raise RefusedError(
            f"Nothing was copied: {state_id!r} has state; write it into confirm too to overwrite it"
        )
    if state:
        _print_restore_command(state_id, state)


def _print_restore_command(state_id: str, state: Mapping[str, Any]) -> None:
    words = (_MELTANO, "state", "set", "--force", "--", state_id, json.dumps(state))
    _print(f"To restore the state of {state_id}: {shlex.join(words)}")


def _existing_state(state_id: str) -> dict[str, Any]:
    state = _state(state_id)
    if not state:
        raise RefusedError(f"Meltano has no state for {state_id!r}; {_LIST_HINT}")
    return state


def _state(state_id: str) -> dict[str, Any]:
    return dict(json.loads(_meltano_state("get", "--", state_id).splitlines()[-1]))


def _meltano_state(*words: str) -> str:
    return _run(_meltano(), "state", *words)


def _run(*argv: str) -> str:
    """Run a command of Meltano and return its output; print its log if it fails."""
    done = ask_meltano(argv, find_project_root(), os.environ)
    if done.returncode:
        for entry in map(read_log_line, done.stderr.splitlines()):
            _print(entry.text, entry.level)
    done.check_returncode()
    return done.stdout


def _meltano() -> str:
    found = find_command(_MELTANO)
    if found is None:
        raise RefusedError(
            f"`{_MELTANO}` is not installed: it is neither next to {sys.executable} nor on PATH"
        )
    return found


def _meltano_python() -> str:
    executable = _meltano()
    python = release_lock.meltano_python(Path(executable))
    if python is None:
        raise RefusedError(
            f"the Python of {executable} cannot be found; install Meltano with pip, uv or pipx"
        )
    return python


def _print_result(title: str, result: Any) -> None:
    _print(f"{title}:\n{json.dumps(result, indent=2, ensure_ascii=False)}")


def _print(text: str, level: int = logging.INFO) -> None:
    if os.environ.get("MELTANO_CLI_LOG_FORMAT") == "json":
        text = json.dumps({"level": logging.getLevelName(level).lower(), "event": text})
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
