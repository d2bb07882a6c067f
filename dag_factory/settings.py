"""The settings of this deployment: its environment variables, and the arguments of the DAG file."""

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
    """The settings of a deployment, read at each parse of a DAG file.

    Attributes:
        project_root: The folder that holds `meltano.yml` (`MELTANO_PROJECT_ROOT`).
        environment: The Meltano environment that this Airflow runs (`MELTANO_ENVIRONMENT`); `None`
            means the project's `default_environment`.
        state_dir: The folder in which the plans of this project are kept. It is below a folder
            that the DAG processor and the workers share (`DAG_FACTORY_STATE_DIR`). `None` means
            that plans are not kept.
        repository_url: The address at which a person reads the project's folder, such as a page of
            a Git host (`DAG_FACTORY_REPOSITORY_URL`). DAGs link to their file there. `None` means
            no link.
        image: The image of the pods (`MELTANO_IMAGE`). It overrides the annotations, so that a
            release changes one value outside meltano.yml.
        compares_image: Whether a pod compares the project in its image with the project that the
            DAG was made from, and does not start if they differ (`DAG_FACTORY_COMPARE_IMAGE`).
        secrets_prefix: The prefix of the names of secrets in AWS Secrets Manager, such as `acme`
            (`DAG_FACTORY_SECRETS_PREFIX`). `None` means that no secrets are read there: settings
            come from `.env`, or the variables of the process.
        dag_id_prefix: The prefix of each DAG ID, for an Airflow that serves several projects or
            environments.
        dag_id_template: The parts of a DAG ID: `{job}`, `{schedule}` (the first schedule of the job
            that has a cron expression; the job, if there is none) and `{environment}`.
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
        """The ID of the DAG that manages the project's state."""
        return f"{self.dag_id_prefix}meltano_state"


def read_settings(
    project_root: Path | str | None = None,
    *,
    environment: str | None = None,
    dag_id_prefix: str = "",
    dag_id_template: str = "{job}",
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read the settings; the arguments override the environment variables.

    Args:
        project_root: As in `Settings`.
        environment: As in `Settings`.
        dag_id_prefix: As in `Settings`.
        dag_id_template: As in `Settings`.
        environ: The environment variables.

    Raises:
        SettingsError: The project is not given, or a value cannot be used.
    """
    configured = project_root or environ.get("MELTANO_PROJECT_ROOT")
    if not configured:
        msg = "MELTANO_PROJECT_ROOT is not set: set it to the folder that holds meltano.yml"
        raise SettingsError(msg)
    try:
        dag_id_template.format(job="", schedule="", environment="")
    except (AttributeError, LookupError, ValueError):
        names = "{job}, {schedule} and {environment}"
        msg = f"dag_id_template {dag_id_template!r} cannot be filled: use only {names}"
        raise SettingsError(msg) from None
    repository_url = environ.get("DAG_FACTORY_REPOSITORY_URL") or None
    if repository_url and not repository_url.startswith(("http://", "https://")):
        hint = "write one such as https://git.example.com/acme/data"
        msg = f"DAG_FACTORY_REPOSITORY_URL: {repository_url!r} is not an http(s) address: {hint}"
        raise SettingsError(msg)
    image = environ.get("MELTANO_IMAGE") or None
    if image and not pod_values.is_image(image):
        example = f"write one such as {pod_values.EXAMPLE_IMAGE}"
        raise SettingsError(f"MELTANO_IMAGE: {image!r} is not an image: {example}")
    secrets_prefix = environ.get("DAG_FACTORY_SECRETS_PREFIX") or None
    if secrets_prefix and not is_secret_name(secrets_prefix):
        msg = (
            f"DAG_FACTORY_SECRETS_PREFIX: {secrets_prefix!r} cannot begin the name of a secret:"
            " write one such as acme or acme/data, with letters, digits and _+=.@-"
        )
        raise SettingsError(msg)
    root = Path(configured).expanduser()
    state_dir = environ.get("DAG_FACTORY_STATE_DIR")
    return Settings(
        project_root=root.resolve(),
        environment=environment or environ.get("MELTANO_ENVIRONMENT") or None,
        state_dir=Path(state_dir).expanduser() / _folder_name(root) if state_dir else None,
        repository_url=repository_url,
        image=image,
        compares_image=_read_flag(environ, "DAG_FACTORY_COMPARE_IMAGE", default=True),
        secrets_prefix=secrets_prefix,
        dag_id_prefix=dag_id_prefix,
        dag_id_template=dag_id_template,
    )


def _read_flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    written = environ.get(name, "").strip().lower()
    if not written:
        return default
    if written not in ("true", "false"):
        raise SettingsError(f"{name} must be true or false, not {written!r}")
    return written == "true"


def _folder_name(root: Path) -> str:
    """Return a folder name for a project by its path; git-sync moves links, so they stay as is."""
    digest = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:8]
    return f"{root.name}.{digest}"
