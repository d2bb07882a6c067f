"""The options that all commands about a project have, and the settings that they give."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dag_factory.errors import UsageError
from dag_factory.settings import Settings, read_settings


def project_options() -> argparse.ArgumentParser:
    """Return the parent of the parsers of all commands about a project."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--environment", help="the Meltano environment (default: MELTANO_ENVIRONMENT)"
    )
    shared.add_argument(
        "--project",
        type=Path,
        help="the folder that holds meltano.yml (default: MELTANO_PROJECT_ROOT, or this folder)",
    )
    shared.add_argument(
        "--dag-id-prefix", default="", help="the prefix of each DAG ID, as in the DAG file"
    )
    shared.add_argument(
        "--dag-id-template",
        default="{job}",
        help="each DAG ID, made of {job}, {schedule} and {environment} (default: %(default)s)",
    )
    return shared


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the options and the environment variables give.

    Raises:
        UsageError: They name no project.
        SettingsError: A value cannot be used.
    """
    chosen = {
        "MELTANO_ENVIRONMENT": arguments.environment,
        "MELTANO_PROJECT_ROOT": arguments.project,
    }
    given = {name: str(value) for name, value in chosen.items() if value}
    settings = read_settings(
        dag_id_prefix=arguments.dag_id_prefix,
        dag_id_template=arguments.dag_id_template,
        environ={"MELTANO_PROJECT_ROOT": str(Path.cwd())} | os.environ | given,
    )
    if not os.path.lexists(settings.project_root / "meltano.yml"):
        raise UsageError(_no_project(settings.project_root, arguments.project))
    return settings


def _no_project(root: Path, given: Path | None) -> str:
    if given:
        hint = "name the folder, not the file" if given.is_file() else "name the folder that does"
        return f"--project {given} holds no meltano.yml: {hint}"
    if os.environ.get("MELTANO_PROJECT_ROOT"):
        return f"MELTANO_PROJECT_ROOT names {root}, which holds no meltano.yml: correct it"
    folder = "meltano" if (root / "meltano/meltano.yml").is_file() else "FOLDER"
    return f"this folder holds no meltano.yml: use --project {folder}"
