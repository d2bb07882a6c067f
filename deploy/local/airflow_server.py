"""One Airflow on this machine: its files, its processes, its health, its API."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import string
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import dotenv
import httpx
import psutil

# `airflow standalone` would start the same four, but its log servers listen on every interface, and
# no setting binds them to loopback. On one machine logs are read from disk.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_REPORTED = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_STOP_SECONDS = 20
_REPEATS = 3
_NOT_WRITTEN = (httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.SERVICE_UNAVAILABLE)
_SECRETS_BACKEND = "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"
_DEFAULT_ENVIRONMENT = "dev"
_ABOUT_SECRETS = ("AWS_", "DAG_FACTORY_SECRETS_")


class LocalError(Exception):
    """Something on this machine is in the way; the message says what to do."""


class _Patient(httpx.HTTPTransport):
    """Repeats calls that Airflow 3.3 could not write down.

    Its API server writes its audit log while it blocks all other requests. With SQLite, where one
    writes at a time, a request that has begun to write then cannot end: after the five seconds for
    which SQLite waits, the call for the audit log gets an error 500, and both are free again. A
    backfill that finds the database locked gets a 503, and is to be asked for again.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(_REPEATS):
            response = super().handle_request(request)
            if response.status_code not in _NOT_WRITTEN:
                return response
            response.close()
        return super().handle_request(request)


@dataclass(frozen=True)
class LocalAirflow:
    """An Airflow whose state lies below a folder of a checkout.

    Attributes:
        checkout: The folder with `dags/` and `meltano/`.
        folder: That of its state, in the checkout.
        host: The address of this machine at which it listens.
        variables: What its processes have in their environment beside what is there.
    """

    checkout: Path
    folder: str = ".local"
    host: str = "127.0.0.1"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Everything that is to be forgotten with this Airflow."""
        return self.checkout / self.folder

    @property
    def home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.state / "airflow"

    @property
    def plans(self) -> Path:
        """Where the last good plan of meltano.yml is kept."""
        return self.state / "plans"

    def log_file(self, component: str) -> Path:
        """What a component prints."""
        return self.state / f"{component}.log"

    @property
    def passwords_file(self) -> Path:
        """User names and generated passwords, readable by the owner only."""
        return self.state / "passwords.json"

    @property
    def url(self) -> str:
        """Where the UI answers; known once configured."""
        return str(self._record["url"])

    @property
    def passwords(self) -> dict[str, str]:
        """The passwords by user name."""
        return dict(json.loads(self.passwords_file.read_text()))

    @property
    def _record_file(self) -> Path:
        return self.state / "server.json"

    @property
    def _record(self) -> dict[str, Any]:
        with suppress(FileNotFoundError, ValueError):
            return dict(json.loads(self._record_file.read_text()))
        return {}

    @property
    def environ(self) -> dict[str, str]:
        """The variables for `airflow` commands.

        With DAG_FACTORY_SECRETS_PREFIX, Airflow finds its connections and variables in AWS, too.
        """
        others = ("AIRFLOW_", "MELTANO_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # Airflow would take 12-20 s to import, not 3
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        near = ",".join(filter(None, [kept.get("NO_PROXY"), "127.0.0.1,localhost", self.host]))
        proxies = {"NO_PROXY": near, "no_proxy": near}
        own = {"AIRFLOW_HOME": str(self.home), "DAG_FACTORY_STATE_DIR": str(self.plans)}
        found = kept | proxies | own | {"PATH": path} | self.variables
        if prefix := found.get("DAG_FACTORY_SECRETS_PREFIX"):
            folder = f"{prefix}/{found.get('MELTANO_ENVIRONMENT', _DEFAULT_ENVIRONMENT)}/airflow"
            found |= _secrets_backend(folder)
        return found

    def processes(self) -> dict[str, psutil.Process]:
        """Return the components that run, if they are still those that were started here."""
        running = {}
        for name, (pid, started) in self._record.get("processes", {}).items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    running[name] = process
        return running

    def configure(self, port: int) -> None:
        """Write the configuration.

        Raises:
            LocalError: The port is no port, or cannot be had.
        """
        _check_port(self.host, port)
        self.home.mkdir(parents=True, exist_ok=True)
        known = self.passwords if self.passwords_file.exists() else {}
        passwords = {user: secrets.token_urlsafe(12) for user in ("admin", "tap-airflow")} | known
        if passwords != known:
            write_private(self.passwords_file, json.dumps(passwords) + "\n")
        template = string.Template(Path(__file__).with_name("airflow.cfg").read_text())
        config = template.substitute(
            home=self.home,
            dags=self.checkout / "dags",
            passwords=self.passwords_file,
            host=self.host,
            port=port,
            **self._keys,
        )
        write_private(self.home / "airflow.cfg", config)
        write_private(self._record_file, json.dumps({"url": f"http://{self.host}:{port}"}))

    @cached_property
    def _keys(self) -> dict[str, str]:
        file = self.state / "keys.json"
        if not file.exists():
            keys = {name: secrets.token_urlsafe(32) for name in ("secret_key", "jwt_secret")}
            keys["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_private(file, json.dumps(keys))
        return dict(json.loads(file.read_text()))

    @property
    def tap_variables(self) -> dict[str, str]:
        """What tap-airflow needs to read this Airflow; known once configured."""
        return {
            "TAP_AIRFLOW_API_URL": self.url,
            "TAP_AIRFLOW_USERNAME": "tap-airflow",
            "TAP_AIRFLOW_PASSWORD": self.passwords["tap-airflow"],
        }

    def write_dotenv(self) -> None:
        """Keep right what tap-airflow needs in meltano/.env."""
        file = self.checkout / "meltano" / ".env"
        if not file.exists():
            write_private(file, "# The first three are kept right by `make up`.\n")
        written = dotenv.dotenv_values(file)
        for name, value in self.tap_variables.items():
            if written.get(name) != value:
                dotenv.set_key(file, name, value)

    def migrate(self) -> None:
        """Bring the database up to date.

        Raises:
            LocalError: It cannot be.
        """
        if self._airflow("db", ("db", "migrate")).wait():
            msg = f"`airflow db migrate` failed; it printed last:\n{self.log_tail('db')}"
            raise LocalError(msg)

    def start(self, *names: str) -> None:
        """Start components, unless they run."""
        running = self.processes()
        digests = self._record.get("variables") if running else self._digests
        for name in names:
            if name not in running:
                running[name] = psutil.Process(self._airflow(name, COMPONENTS[name]).pid)
        processes = {name: (each.pid, each.create_time()) for name, each in running.items()}
        record = {"url": self.url, "processes": processes, "variables": digests}
        write_private(self._record_file, json.dumps(record))

    @property
    def _digests(self) -> dict[str, str]:
        """The variables that say where secrets are; some hold secrets themselves."""
        return {
            name: sha256(value.encode(errors="surrogateescape")).hexdigest()
            for name, value in self.environ.items()
            if name.startswith(_ABOUT_SECRETS)
        }

    def changed_variables(self) -> list[str]:
        """Return which variables of AWS and of the secrets are not those that it was started with.

        Airflow hands its environment on to tasks, and takes no other while it runs.
        """
        before, now = self._record.get("variables") or {}, self._digests
        return sorted(name for name in before | now if before.get(name) != now.get(name))

    def _airflow(self, name: str, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with self.log_file(name).open("ab") as log:
            return subprocess.Popen(
                ["airflow", *command],  # noqa: S607 - found on the PATH of `environ`
                cwd=self.checkout,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log_tail(self, component: str) -> str:
        """Return the last lines that a component printed."""
        return "\n".join(self.log_file(component).read_text().splitlines()[-5:])

    def stop(self) -> bool:
        """Stop the components and all that they started; return whether any ran.

        Running tasks have process groups of their own, so each descendant is asked by itself.
        """
        family = set(self.processes().values())
        for component in tuple(family):
            family.update(component.children(recursive=True))
        alive = list(family)
        for stop in (psutil.Process.terminate, psutil.Process.kill):
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    stop(process)
            _, alive = psutil.wait_procs(alive, timeout=_STOP_SECONDS)
        if family:
            write_private(self._record_file, json.dumps({"url": self.url}))
        return bool(family)

    def unhealthy(self) -> list[str]:
        """Return the components that do not answer yet."""
        try:
            url = f"{self.url}/api/v2/monitor/health"
            health = httpx.get(url, timeout=5, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            return ["api-server"]
        return [name for name in _REPORTED if health.get(name, {}).get("status") != "healthy"]

    def api(self) -> httpx.Client:
        """Return a client of the REST API that is logged in as admin."""
        login = {"username": "admin", "password": self.passwords["admin"]}
        url = f"{self.url}/auth/token"
        answer = httpx.post(url, json=login, timeout=30, trust_env=False).raise_for_status()
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        base_url = f"{self.url}/api/v2"
        return httpx.Client(
            base_url=base_url, headers=headers, timeout=30, trust_env=False, transport=_Patient()
        )


def write_private(file: Path, text: str) -> None:
    """Write a file for its owner only, whole or not at all."""
    part = file.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    part.replace(file)


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


def _check_port(host: str, port: int) -> None:
    if not port:
        raise LocalError("port 0 is none to remember; choose one: PORT=8081")
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            why = "is in use by another program" if taken else f"cannot be had: {error}"
            other = port + 1 if taken else 8081
            msg = f"port {port} {why}; choose one: PORT={other}"
            raise LocalError(msg) from None
