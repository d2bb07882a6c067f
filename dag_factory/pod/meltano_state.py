"""Looks after Meltano's state and its locks: `meltano-state ACTION [--] [STATE_ID ...]`.

It is what the task of the DAG `meltano_state` runs, beside Airflow or in a pod, and a command for
people; it needs no Airflow. It asks before state is lost, and first says how to put it back. The
project is the one in `MELTANO_PROJECT_ROOT`, or else in the present folder. Its log is that of
Meltano: lines of JSON where `MELTANO_CLI_LOG_FORMAT` says so.

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
from dag_factory.meltano_process.process import ask_meltano, find_command
from dag_factory.pod import release_lock

PROGRAM = "meltano-state"
# A `$` alone would let a line break through.
STATE_ID = r"^(?!/)(?!(.*/)?\.\.?(/|$))[^\x00-\x1f\x7f]+(?!\n)$"
"""What can be a state ID: with state in files, Meltano takes one for a path, and removes whatever
folder it names."""
_MELTANO = "meltano"


class Action(StrEnum):
    """What can be done."""

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
"""The state IDs that each action takes, in their order; `confirm` only where state is lost."""


class RefusedError(Exception):
    """What was asked for cannot be done as it was asked."""


def command(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what runs an action; a state ID is one item of it, and never an option.

    Args:
        fields: `action`, `state_id`, `target` and `confirm`; those that are unused may be `None`.

    Raises:
        RefusedError: They do not go together.
    """
    if wrong := wrong_fields(fields):
        raise RefusedError(wrong)
    action = fields["action"]
    state_ids = filter(None, map(fields.get, _FIELDS[action]))
    return (PROGRAM, str(action), "--", *state_ids)


def wrong_fields(fields: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the fields, each by itself and all together."""
    action, state_id, target = (fields.get(name) for name in ("action", "state_id", "target"))
    for each in filter(None, (state_id, target)):
        if not re.match(STATE_ID, each):
            return f"{each!r} is no state ID; `list` names those that have state"
    if action != Action.LIST and not state_id:
        return f"{action} needs a state ID: fill in state_id; `list` names those that have state"
    if action == Action.CLEAR and fields.get("confirm") != state_id:
        return f"Nothing is cleared: write {state_id!r} into confirm too, to clear its state"
    if action == Action.COPY and target in (None, state_id):
        return "copy needs another state ID to copy to: fill in target"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        The exit code of Meltano, or `ExitCode.CONFIG_ERROR` (78) if the request is wrong.
    """
    try:
        _act(**_read_fields(argv))
    except RefusedError as error:
        _say(str(error), logging.ERROR)
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
    if wrong := wrong_fields(fields):
        raise RefusedError(wrong)
    return fields


def _act(action: str, state_id: str, target: str, confirm: str | None) -> None:
    match action:
        case Action.LIST:
            _say_found("State IDs that have state", sorted(_meltano_state("list").splitlines()))
        case Action.SHOW:
            _say_found(f"The state of {state_id}", _known_state(state_id))
        case Action.COPY:
            _known_state(state_id)
            _confirm_loss(target, confirm)
            _meltano_state("copy", "--force", "--", state_id, target)
            _say(f"{target} has the state of {state_id}")
        case Action.CLEAR:
            _say_way_back(state_id, _known_state(state_id))
            _meltano_state("clear", "--force", "--", state_id)
            _say(f"{state_id} has no state any more")
        case Action.RELEASE_LOCK:
            _say(_run(_meltano_python(), str(release_lock.__file__), "--", state_id).strip())


def _confirm_loss(state_id: str, confirmed: str | None) -> None:
    state = _state(state_id)
    if state and confirmed != state_id:
        raise RefusedError(f"Nothing is copied: {state_id!r} has state; write it into confirm too")
    if state:
        _say_way_back(state_id, state)


def _say_way_back(state_id: str, state: Mapping[str, Any]) -> None:
    words = (_MELTANO, "state", "set", "--force", "--", state_id, json.dumps(state))
    _say(f"To put the state of {state_id} back: {shlex.join(words)}")


def _known_state(state_id: str) -> dict[str, Any]:
    state = _state(state_id)
    if not state:
        msg = f"Meltano holds no state for {state_id!r}; `list` names those that have state"
        raise RefusedError(msg)
    return state


def _state(state_id: str) -> dict[str, Any]:
    return dict(json.loads(_meltano_state("get", "--", state_id).splitlines()[-1]))


def _meltano_state(*words: str) -> str:
    return _run(_meltano(), "state", *words)


def _run(*argv: str) -> str:
    """Run a command of Meltano, and return what it prints; pass on the log of one that fails."""
    root = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path.cwd())
    done = ask_meltano(argv, root, os.environ)
    if done.returncode:
        for entry in map(read_log_line, done.stderr.splitlines()):
            _say(entry.text, entry.level)
    done.check_returncode()
    return done.stdout


def _meltano() -> str:
    found = find_command(_MELTANO)
    if found is None:
        msg = f"`{_MELTANO}` is not installed here: not beside {sys.executable}, nor on PATH"
        raise RefusedError(msg)
    return found


def _meltano_python() -> str:
    executable = _meltano()
    python = release_lock.meltano_python(Path(executable))
    if python is None:
        msg = f"{executable} does not tell which Python runs it: install Meltano by pip, uv or pipx"
        raise RefusedError(msg)
    return python


def _say_found(what: str, found: Any) -> None:
    _say(f"{what}:\n{json.dumps(found, indent=2, ensure_ascii=False)}")


def _say(text: str, level: int = logging.INFO) -> None:
    if os.environ.get("MELTANO_CLI_LOG_FORMAT") == "json":
        text = json.dumps({"level": logging.getLevelName(level).lower(), "event": text})
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
