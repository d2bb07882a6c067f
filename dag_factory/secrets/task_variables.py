"""The variables of a task's process together with its secrets, and what its log must not show."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dag_factory.meltano_process.log import LogEntry
from dag_factory.planning.secret_names import SecretPlan
from dag_factory.secrets.unread_keys import key_warnings
from dag_factory.secrets.values import origins, read_secrets


@dataclass(frozen=True)
class TaskVariables:
    """What a task's process gets.

    Attributes:
        environ: All variables. One that was set already overrides the secret's.
        hidden_values: The values that no log may show.
        log_entries: Lines that say where the variables come from; they hold no values.
    """

    environ: Mapping[str, str] = field(repr=False)
    hidden_values: Sequence[str] = field(repr=False)
    log_entries: Sequence[LogEntry]


def read_task_variables(
    root: Path,
    environ: Mapping[str, str],
    secrets: Sequence[SecretPlan],
    sensitive_names: Iterable[str],
) -> TaskVariables:
    """Read the secrets of a task, and add what they hold to its variables.

    Args:
        root: The folder that holds `meltano.yml`.
        environ: The variables that are set already.
        secrets: The secrets to read.
        sensitive_names: The variables whose values are hidden, set in `environ` or in `.env`.

    Raises:
        SecretsError: A secret cannot be read, or holds what cannot be a variable.
    """
    values = read_secrets(secrets)
    sources = (environ, _read_dotenv(root / ".env"))
    sensitive = [source.get(name) for name in sensitive_names for source in sources]
    return TaskVariables(
        {**values.variables, **environ},
        [*values.variables.values(), *filter(None, sensitive)],
        [
            *(LogEntry(logging.INFO, None, line) for line in origins(values.variables, environ)),
            *(LogEntry(logging.WARNING, None, line) for line in key_warnings(root, values.keys)),
        ],
    )


def _read_dotenv(file: Path) -> Mapping[str, str | None]:
    """Return what Meltano reads from a `.env` file, if the package for it is installed."""
    try:
        import dotenv  # noqa: PLC0415 - installed by an extra
    except ImportError:
        return {}
    return dotenv.dotenv_values(file)
