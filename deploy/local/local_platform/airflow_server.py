"""One Airflow on this machine: its files and its processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import dotenv
import httpx
import psutil

from local_platform.airflow_api import log_in, unhealthy_components
from local_platform.airflow_config import (
    keep_keys,
    keep_passwords,
    process_environ,
    write_config,
)
from local_platform.console import LocalError
from local_platform.ports import port_problem
from local_platform.private_files import write_private
from local_platform.subprocesses import run_command

# `airflow standalone` would start the same four, but its log servers listen on every interface, and
# no setting binds them to loopback. On one machine logs are read from disk.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_STOP_SECONDS = 20
_PREFIXES_OF_SECRETS = ("AWS_", "DAG_FACTORY_SECRETS_")


@dataclass(frozen=True)
class LocalAirflow:
    """An Airflow whose state is in a folder of a checkout.

    Attributes:
        checkout: The folder with `dags/` and `meltano/`.
        folder: The folder of its state, relative to the checkout.
        host: The address of this machine on which it listens.
        variables: Environment variables that its processes get in addition to the inherited ones.
    """

    checkout: Path
    folder: str = ".local"
    host: str = "127.0.0.1"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The folder of everything that `make clean` or `make kube-down` removes."""
        return self.checkout / self.folder

    @property
    def home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.state / "airflow"

    @property
    def plans(self) -> Path:
        """The folder of the last good plan of meltano.yml."""
        return self.state / "plans"

    def log_file(self, component: str) -> Path:
        """Return the file of what a component prints."""
        return self.state / f"{component}.log"

    @property
    def passwords_file(self) -> Path:
        """The file of user names and generated passwords."""
        return self.state / "passwords.json"

    @property
    def url(self) -> str:
        """The URL of the UI; known after `configure`."""
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
        """The environment variables for `airflow` commands."""
        folders = {"AIRFLOW_HOME": str(self.home), "DAG_FACTORY_STATE_DIR": str(self.plans)}
        return process_environ(self.host, {**folders, **self.variables})

    def processes(self) -> dict[str, psutil.Process]:
        """Return the running components that `start` started."""
        running = {}
        for name, (pid, started) in self._record.get("processes", {}).items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    running[name] = process
        return running

    def check_port(self, port: int) -> None:
        """Check that Airflow can listen on a port.

        Raises:
            LocalError: The port does not exist, or is in use.
        """
        if problem := port_problem(self.host, port):
            raise LocalError(problem)

    def configure(self, port: int) -> None:
        """Write the configuration.

        Raises:
            LocalError: The port does not exist, or is in use.
        """
        self.check_port(port)
        self.home.mkdir(parents=True, exist_ok=True)
        keep_passwords(self.passwords_file)
        write_config(
            self.home,
            dags=self.checkout / "dags",
            passwords=self.passwords_file,
            host=self.host,
            port=port,
            **keep_keys(self.state / "keys.json"),
        )
        write_private(self._record_file, json.dumps({"url": f"http://{self.host}:{port}"}))

    @property
    def tap_variables(self) -> dict[str, str]:
        """The environment variables with which tap-airflow reads this Airflow."""
        return {
            "TAP_AIRFLOW_API_URL": self.url,
            "TAP_AIRFLOW_USERNAME": "tap-airflow",
            "TAP_AIRFLOW_PASSWORD": self.passwords["tap-airflow"],
        }

    def write_dotenv(self) -> None:
        """Update the variables of tap-airflow in meltano/.env."""
        file = self.checkout / "meltano" / ".env"
        if not file.exists():
            write_private(file, "# `make up` updates the first three.\n")
        written = dotenv.dotenv_values(file)
        for name, value in self.tap_variables.items():
            if written.get(name) != value:
                dotenv.set_key(file, name, value)

    def migrate(self) -> None:
        """Update the database to the schema of the installed Airflow.

        Raises:
            LocalError: `airflow db migrate` failed.
        """
        run_command(
            *("airflow", "db", "migrate"),
            waiting=lambda _: "Airflow's database",
            log=self.log_file("db"),
            cwd=self.checkout,
            environ=self.environ,
            ends_on_interrupt=False,
        )

    def start(self, *names: str) -> None:
        """Start components, unless they are running."""
        running = self.processes()
        digests = self._record.get("variables") if running else self._digests

        def keep_record() -> None:
            processes = {name: (each.pid, each.create_time()) for name, each in running.items()}
            record = {"url": self.url, "processes": processes, "variables": digests}
            write_private(self._record_file, json.dumps(record))

        keep_record()
        for name in names:
            if name not in running:
                running[name] = psutil.Process(self._airflow(name, COMPONENTS[name]).pid)
                keep_record()

    @property
    def _digests(self) -> dict[str, str]:
        """Digests of the variables that say where secrets are, as some hold secrets themselves."""
        return {
            name: sha256(value.encode(errors="surrogateescape")).hexdigest()
            for name, value in self.environ.items()
            if name.startswith(_PREFIXES_OF_SECRETS)
        }

    def changed_variables(self) -> list[str]:
        """Return the variables of AWS and of the secrets that have changed since the start.

        Airflow passes its environment on to tasks, so a change has no effect while it runs.
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
        """Stop the components and their descendants; return whether any were running.

        Running tasks have process groups of their own, so each descendant gets its own signal.
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
        """Return the components that are not healthy yet."""
        return unhealthy_components(self.url)

    def api(self) -> httpx.Client:
        """Return a client of the REST API that is logged in as admin."""
        return log_in(self.url, "admin", self.passwords["admin"])
