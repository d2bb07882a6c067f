"""How this deployment runs, from environment variables only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dag_factory.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """The deployment's own settings, read once per parse.

    Attributes:
        project_root: The folder that holds `meltano.yml` (`MELTANO_PROJECT_ROOT`).
        environment: The Meltano environment this Airflow runs (`MELTANO_ENVIRONMENT`); `None`
            means the project's `default_environment`.
        state_dir: A folder of this project's own in one that the DAG processor and the workers
            share (`DAG_FACTORY_STATE_DIR`): the plan is kept there. `None` means it is not kept.
    """

    project_root: Path
    environment: str | None = None
    state_dir: Path | None = None


def read_settings(
    default_project_root: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings.

    Args:
        default_project_root: Where the project lies when `MELTANO_PROJECT_ROOT` does not say.
        environ: The variables to read.

    Raises:
        SettingsError: Nothing says where the project lies.
    """
    configured = environ.get("MELTANO_PROJECT_ROOT")
    root = Path(configured).expanduser() if configured else default_project_root
    if root is None:
        msg = "MELTANO_PROJECT_ROOT is not set: set it to the folder that holds meltano.yml."
        raise SettingsError(msg)
    state_dir = environ.get("DAG_FACTORY_STATE_DIR")
    return Settings(
        project_root=root.resolve(),
        environment=environ.get("MELTANO_ENVIRONMENT") or None,
        state_dir=Path(state_dir).expanduser() / _own_folder(root) if state_dir else None,
    )


def _own_folder(root: Path) -> str:
    """Return a name for a project by its path, links not followed: git-sync moves their ends."""
    digest = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:8]
    return f"{root.name}.{digest}"
