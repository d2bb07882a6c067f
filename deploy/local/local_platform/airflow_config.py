"""The configuration of an Airflow on this machine: airflow.cfg, variables and generated secrets."""

from __future__ import annotations

import json
import os
import secrets
import string
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from local_platform.private_files import write_private

_SECRETS_BACKEND = "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"
_DEFAULT_ENVIRONMENT = "dev"
_USERS = ("admin", "tap-airflow")


def process_environ(host: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for `airflow` commands: this process's, then `variables`.

    With DAG_FACTORY_SECRETS_PREFIX, Airflow also finds its connections and variables in AWS.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "MELTANO_"))
    }
    # Without bytecode, Airflow takes 12-20 s to import, not 3.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    no_proxy = ",".join(filter(None, [inherited.get("NO_PROXY"), "127.0.0.1,localhost", host]))
    own = {"PATH": path, "NO_PROXY": no_proxy, "no_proxy": no_proxy}
    environ = {**inherited, **own, **variables}
    if prefix := environ.get("DAG_FACTORY_SECRETS_PREFIX"):
        environment = environ.get("MELTANO_ENVIRONMENT", _DEFAULT_ENVIRONMENT)
        environ |= _secrets_backend(f"{prefix}/{environment}/airflow")
    return environ


def _secrets_backend(folder: str) -> dict[str, str]:
    kwargs = {
        "connections_prefix": f"{folder}/connections",
        "variables_prefix": f"{folder}/variables",
        "config_prefix": None,
    }
    return {
        "AIRFLOW__SECRETS__BACKEND": _SECRETS_BACKEND,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(kwargs),
    }


def write_config(home: Path, **values: object) -> None:
    """Write airflow.cfg from its template."""
    template = string.Template(files("local_platform").joinpath("airflow.cfg").read_text())
    write_private(home / "airflow.cfg", template.substitute(home=home, **values))


def keep_passwords(file: Path) -> None:
    """Write a password for each user, unless the file has one."""
    written = json.loads(file.read_text()) if file.exists() else {}
    passwords = {user: secrets.token_urlsafe(12) for user in _USERS} | written
    if passwords != written:
        write_private(file, json.dumps(passwords) + "\n")


def keep_keys(file: Path) -> dict[str, str]:
    """Return the keys for airflow.cfg; generate them if there is no file yet."""
    if not file.exists():
        keys = {name: secrets.token_urlsafe(32) for name in ("secret_key", "jwt_secret")}
        keys["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        write_private(file, json.dumps(keys))
    return dict(json.loads(file.read_text()))
