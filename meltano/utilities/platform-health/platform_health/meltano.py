"""Calls of Meltano, which has set environment variables that name its project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from platform_health.errors import HealthError

_QUIET_ENV = {"MELTANO_CLI_LOG_LEVEL": "error", "MELTANO_CLI_DISABLE_VERSION_CHECK": "1"}


def output(*words: str) -> str:
    """Return the output of a Meltano command. Its log goes to standard error.

    Raises:
        HealthError: The command failed.
    """
    command = [_executable(), *words]
    done = subprocess.run(  # noqa: S603 - an argv list; no shell
        command, env=os.environ | _QUIET_ENV, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise _failed(command)
    return done.stdout


def load_schema(extractor: str) -> str:
    """Return the schema into which an extractor's streams are loaded."""
    extras = json.loads(output("config", "print", "--extras", "--plugin-type=extractor", extractor))
    return str(extras["_load_schema"])


def messages(extractor: str) -> Iterator[dict[str, Any]]:
    """Yield the Singer messages of an extractor that runs without state.

    Raises:
        HealthError: The extractor failed, or its output is not a Singer message.
    """
    command = [_executable(), "invoke", "--plugin-type=extractor", extractor]
    with subprocess.Popen(  # noqa: S603 - an argv list; no shell
        command, env=os.environ | _QUIET_ENV, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            try:
                yield json.loads(line)
            except ValueError:
                raise HealthError(
                    f"the output of {extractor} is not a Singer message: {line}"
                ) from None
    if process.returncode:
        raise _failed(command)


def _executable() -> str:
    found = shutil.which("meltano")
    if not found:
        raise HealthError("meltano is not on PATH; add the folder of its command to PATH")
    return found


def _failed(command: list[str]) -> HealthError:
    return HealthError(f"`meltano {' '.join(command[1:])}` failed; see the log above")
