"""One Airflow on this machine: its files, its process, its health, its API."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import string
import subprocess
import sys
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dotenv
import httpx
import psutil

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_STOP_SECONDS = 20


class LocalError(Exception):
    """Something on this machine is in the way; the message says what to do."""


@dataclass(frozen=True)
class LocalAirflow:
    """An Airflow whose state lies below `.local/` of a checkout.

    Attributes:
        checkout: The folder with `dags/` and `meltano/`.
    """

    checkout: Path

    @property
    def state(self) -> Path:
        """Everything that `make clean` forgets about Airflow."""
        return self.checkout / ".local"

    @property
    def home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.state / "airflow"

    @property
    def log_file(self) -> Path:
        """What `airflow standalone` prints."""
        return self.state / "airflow.log"

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
        """The variables for `airflow` commands."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # Airflow would take 12-20 s to import, not 3
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        return kept | {"AIRFLOW_HOME": str(self.home), "PATH": path}

    def process(self) -> psutil.Process | None:
        """Return the running server, if it is still the one that was started here."""
        record = self._record
        with suppress(psutil.NoSuchProcess, KeyError):
            process = psutil.Process(record["pid"])
            if process.create_time() == record["started"] and process.is_running():
                return process
        return None

    def configure(self, port: int) -> None:
        """Write the configuration, and what tap-airflow needs into meltano/.env.

        Raises:
            LocalError: Another program uses the port.
        """
        if not _is_free(port):
            msg = f"port {port} is in use by another program; choose one: make up PORT={port + 1}"
            raise LocalError(msg)
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.passwords_file.exists():
            passwords = {user: secrets.token_urlsafe(12) for user in ("admin", "meltano")}
            _write_private(self.passwords_file, json.dumps(passwords) + "\n")
        template = string.Template(Path(__file__).with_name("airflow.cfg").read_text())
        config = template.substitute(
            home=self.home,
            dags=self.checkout / "dags",
            passwords=self.passwords_file,
            port=port,
            worker_log_port=_any_free_port(),
            trigger_log_port=_any_free_port(),
            **self._keys,
        )
        _write_private(self.home / "airflow.cfg", config)
        _write_private(self._record_file, json.dumps({"url": f"http://127.0.0.1:{port}"}))
        self._write_dotenv()

    @cached_property
    def _keys(self) -> dict[str, str]:
        file = self.state / "keys.json"
        if not file.exists():
            keys = {name: secrets.token_urlsafe(32) for name in ("secret_key", "jwt_secret")}
            keys["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            _write_private(file, json.dumps(keys))
        return dict(json.loads(file.read_text()))

    def _write_dotenv(self) -> None:
        file = self.checkout / "meltano" / ".env"
        wanted = {
            "TAP_AIRFLOW_API_URL": self.url,
            "TAP_AIRFLOW_USERNAME": "meltano",
            "TAP_AIRFLOW_PASSWORD": self.passwords["meltano"],
        }
        if not file.exists():
            _write_private(file, "# The first three are kept right by `make up`.\n")
        written = dotenv.dotenv_values(file)
        for name, value in wanted.items():
            if written.get(name) != value:
                dotenv.set_key(file, name, value)

    def start(self) -> None:
        """Start `airflow standalone` in a session of its own."""
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                ["airflow", "standalone"],  # noqa: S607 - found on the PATH of `environ`
                cwd=self.checkout,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = psutil.Process(process.pid).create_time()
        record = {"url": self.url, "pid": process.pid, "started": started}
        _write_private(self._record_file, json.dumps(record))

    def stop(self) -> bool:
        """Stop the server and all that it started; return whether it ran.

        A signal to `airflow standalone` alone would orphan its components, and running tasks have
        process groups of their own.
        """
        server = self.process()
        if server is None:
            return False
        family = [server, *server.children(recursive=True)]
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=_STOP_SECONDS)
        for stop in (psutil.Process.terminate, psutil.Process.kill):
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    stop(process)
            _, alive = psutil.wait_procs(alive, timeout=_STOP_SECONDS)
        _write_private(self._record_file, json.dumps({"url": self.url}))
        return True

    def unhealthy(self) -> list[str]:
        """Return the components that do not answer yet."""
        try:
            health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return ["web server"]
        return [name for name in COMPONENTS if health.get(name, {}).get("status") != "healthy"]

    def api(self) -> httpx.Client:
        """Return a client of the REST API that is logged in as admin."""
        login = {"username": "admin", "password": self.passwords["admin"]}
        answer = httpx.post(f"{self.url}/auth/token", json=login, timeout=30).raise_for_status()
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return httpx.Client(base_url=f"{self.url}/api/v2", headers=headers, timeout=30)


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])
