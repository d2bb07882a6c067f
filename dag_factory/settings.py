"""How this deployment runs: what its environment variables say, and the DAG file that calls."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dag_factory.errors import SettingsError
from dag_factory.options import pod_values
from dag_factory.options.values import is_secret_name


@dataclass(frozen=True)
class Settings:
    """The deployment's own settings, read once per parse.

    Attributes:
        project_root: The folder that holds `meltano.yml` (`MELTANO_PROJECT_ROOT`).
        environment: The Meltano environment this Airflow runs (`MELTANO_ENVIRONMENT`); `None`
            means the project's `default_environment`.
        state_dir: A folder of this project's own in one that the DAG processor and the workers
            share (`DAG_FACTORY_STATE_DIR`): the plan is kept there. `None` means it is not kept.
        repository_url: Where a person reads the project's folder, such as a page of a Git host
            (`DAG_FACTORY_REPOSITORY_URL`): DAGs link to their file there. `None` for no link.
        image: That of the pods (`MELTANO_IMAGE`); it goes before the annotations, so that a release
            changes one value outside meltano.yml.
        compares_image: Whether a pod compares the project in its image with the one that the DAG
            was made from, and does not start where they differ (`DAG_FACTORY_COMPARE_IMAGE`).
        secrets_prefix: What begins the names of secrets in AWS Secrets Manager, such as `acme`
            (`DAG_FACTORY_SECRETS_PREFIX`). `None` means that none are read there: settings come
            from `.env`, or the variables of the process.
        dag_id_prefix: What begins the id of each DAG, where one Airflow serves several projects or
            environments.
        dag_id_template: What the id of a DAG is made of: `{job}`, `{schedule}` (the first schedule
            of the job that fires; the job itself, where it has none) and `{environment}`.
    """

    project_root: Path
    environment: str | None = None
    state_dir: Path | None = None
    repository_url: str | None = None
    image: str | None = None
    compares_image: bool = True
    secrets_prefix: str | None = None
    dag_id_prefix: str = ""
    dag_id_template: str = "{job}"

    @property
    def state_dag_id(self) -> str:
        """The id of the DAG that looks after the project's state."""
        return f"{self.dag_id_prefix}meltano_state"


def read_settings(
    project_root: Path | str | None = None,
    *,
    environment: str | None = None,
    dag_id_prefix: str = "",
    dag_id_template: str = "{job}",
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read the settings; what is given here goes before the variables.

    Args:
        project_root: As in `Settings`.
        environment: As in `Settings`.
        dag_id_prefix: As in `Settings`.
        dag_id_template: As in `Settings`.
        environ: The variables to read.

    Raises:
        SettingsError: Nothing says where the project lies, or a value is none of its kind.
    """
    configured = project_root or environ.get("MELTANO_PROJECT_ROOT")
    if not configured:
        msg = "MELTANO_PROJECT_ROOT is not set: set it to the folder that holds meltano.yml."
        raise SettingsError(msg)
    try:
        dag_id_template.format(job="", schedule="", environment="")
    except (AttributeError, LookupError, ValueError):
        msg = f"dag_id_template {dag_id_template!r}: write {{job}}, {{schedule}}, {{environment}}."
        raise SettingsError(msg) from None
    repository_url = environ.get("DAG_FACTORY_REPOSITORY_URL") or None
    if repository_url and not repository_url.startswith(("http://", "https://")):
        msg = f"DAG_FACTORY_REPOSITORY_URL: {repository_url!r} is no http(s) address: correct it."
        raise SettingsError(msg)
    image = environ.get("MELTANO_IMAGE") or None
    if image and not pod_values.is_image(image):
        msg = (
            f"MELTANO_IMAGE: {image!r} is no image such as {pod_values.EXAMPLE_IMAGE}: correct it."
        )
        raise SettingsError(msg)
    secrets_prefix = environ.get("DAG_FACTORY_SECRETS_PREFIX") or None
    if secrets_prefix and not is_secret_name(secrets_prefix):
        msg = (
            f"DAG_FACTORY_SECRETS_PREFIX: {secrets_prefix!r} begins no name of a secret: write one"
            " such as acme or acme/data, of letters, digits and _+=.@-"
        )
        raise SettingsError(msg)
    root = Path(configured).expanduser()
    state_dir = environ.get("DAG_FACTORY_STATE_DIR")
    return Settings(
        project_root=root.resolve(),
        environment=environment or environ.get("MELTANO_ENVIRONMENT") or None,
        state_dir=Path(state_dir).expanduser() / _own_folder(root) if state_dir else None,
        repository_url=repository_url,
        image=image,
        compares_image=_flag(environ, "DAG_FACTORY_COMPARE_IMAGE", default=True),
        secrets_prefix=secrets_prefix,
        dag_id_prefix=dag_id_prefix,
        dag_id_template=dag_id_template,
    )


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    written = environ.get(name, "").strip().lower()
    if not written:
        return default
    if written not in ("true", "false"):
        raise SettingsError(f"{name}: {written!r} is neither true nor false: correct it.")
    return written == "true"


def _own_folder(root: Path) -> str:
    """Return a name for a project by its path, links not followed: git-sync moves their ends."""
    digest = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:8]
    return f"{root.name}.{digest}"
