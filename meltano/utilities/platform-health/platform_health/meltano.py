"""What this package asks Meltano, which has put its own project into the environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from platform_health.errors import HealthError

_QUIET = {"MELTANO_CLI_LOG_LEVEL": "error", "MELTANO_CLI_DISABLE_VERSION_CHECK": "1"}


def ask(*words: str) -> str:
    """Return what a Meltano command prints; its log goes where ours does.

    Raises:
        HealthError: It failed.
    """
    command = [_executable(), *words]
    done = subprocess.run(  # noqa: S603 - an argv list; no shell
        command, env=os.environ | _QUIET, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise _failed(command)
    return done.stdout


def load_schema(extractor: str) -> str:
    """Return the schema that an extractor's streams are loaded into."""
    extras = json.loads(ask("config", "print", "--extras", "--plugin-type=extractor", extractor))
    return str(extras["_load_schema"])


def messages(extractor: str) -> Iterator[dict[str, Any]]:
    """Yield the Singer messages of an extractor that begins without state.

    Raises:
        HealthError: It failed.
    """
    command = [_executable(), "invoke", "--plugin-type=extractor", extractor]
    with subprocess.Popen(  # noqa: S603 - an argv list; no shell
        command, env=os.environ | _QUIET, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            try:
                yield json.loads(line)
            except ValueError:
                raise HealthError(f"{extractor} wrote what is no Singer message: {line}") from None
    if process.returncode:
        raise _failed(command)


def _executable() -> str:
    found = shutil.which("meltano")
    if not found:
        raise HealthError("meltano is not on PATH: put the folder of its command there")
    return found


def _failed(command: list[str]) -> HealthError:
    return HealthError(f"`meltano {' '.join(command[1:])}` failed: see the log above")
