"""A real Tryton with a small shop in it, for tests and to play with.

`python -m tests.connectors.servers.tryton_source` runs one until Ctrl-C.

Tryton comes from PyPI into an environment of its own. That, and the filled database, take half a
minute to make, so they are kept in build/ until tryton.lock or tryton_seed.py changes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from tap_tryton.values import encode, loads

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build"
LOCK, SEED = HERE / "tryton.lock", HERE / "tryton_seed.py"
DATABASE = "shop"
START_LIMIT = 300
CONFIG = """[database]
uri = sqlite://
path = {folder}
[web]
listen = 127.0.0.1:{port}
"""


@dataclass(frozen=True)
class Tryton:
    """A running server.

    Args:
        url: Its address.
        keys: The keys of the users: `data` reads what the tap reads, `nobody` reads nothing and
            `admin` may do everything.
        file: Its database.
    """

    url: str
    keys: dict[str, str]
    file: Path

    @property
    def settings(self) -> dict[str, str]:
        """The tap's settings."""
        return {"url": self.url, "database": DATABASE, "key": self.keys["data"]}

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Do what a person does, as the administrator; return what Tryton answers."""
        headers = {
            "Authorization": f"Bearer {self.keys['admin']}",
            "X-Tryton-Context": encode({"active_test": False, "company": 1}),
        }
        url = f"{self.url}/{DATABASE}/rest/model/{path}"
        answer = requests.request(method, url, headers=headers, timeout=60, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return loads(answer.text) if answer.text else None

    def create(self, model: str, values: dict[str, Any]) -> int:
        """Make a record, and return its id."""
        return self.call("POST", model, json=values)["id"]

    def write(self, model: str, number: int, **values: Any) -> None:
        """Change a record."""
        self.call("PUT", f"{model}/{number}", json=values)

    def delete(self, model: str, number: int) -> None:
        """Delete a record."""
        self.call("DELETE", f"{model}/{number}")

    def click(self, model: str, number: int, button: str) -> None:
        """Press a button of a record's form."""
        self.call("POST", f"{model}/{number}/{button}", json={})

    def search(self, model: str, domain: list[Any], *fields: str) -> list[dict[str, Any]]:
        """Return the records that match."""
        return self.call("GET", model, params={"d": encode(domain), "f": fields})


def environment() -> Path:
    """Return the Python that has Tryton, which is installed if need be."""
    folder = BUILD / f"tryton-{_digest(LOCK)}"
    python, done = folder / "bin/python", folder / "installed"
    if not done.exists():
        uv = Path(sys.executable).with_name("uv")
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
        _run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, LOCK)
        done.touch()
    return python


def seeded(python: Path) -> tuple[Path, dict[str, str]]:
    """Return a filled database, which is made if need be, and the keys of its users."""
    database = BUILD / f"tryton-{_digest(LOCK, SEED)}.sqlite"
    keys = database.with_suffix(".keys")
    if not keys.exists():
        with tempfile.TemporaryDirectory(prefix="tryton-", dir=BUILD) as name:
            folder = Path(name)
            config, password = folder / "trytond.conf", folder / "password"
            config.write_text(CONFIG.format(folder=folder, port=0))
            password.write_text(secrets.token_urlsafe(16))
            made = folder / f"{DATABASE}.sqlite"
            made.touch()
            printed = _run(python, SEED, config, DATABASE, TRYTONPASSFILE=str(password))
            made.rename(database)
            (folder / "keys").write_text(printed)
            (folder / "keys").rename(keys)
    return database, dict(line.split() for line in keys.read_text().splitlines())


@contextmanager
def running_tryton() -> Iterator[Tryton]:
    """Run a server on a copy of the filled database."""
    BUILD.mkdir(exist_ok=True)
    python = environment()
    database, keys = seeded(python)
    with tempfile.TemporaryDirectory(prefix="tryton-") as name:
        folder = Path(name)
        file = folder / f"{DATABASE}.sqlite"
        shutil.copy(database, file)
        with socket.socket() as candidate:
            candidate.bind(("127.0.0.1", 0))
            port = candidate.getsockname()[1]
        config, log = folder / "trytond.conf", folder / "log"
        config.write_text(CONFIG.format(folder=folder, port=port))
        command = [python.with_name("trytond"), "-c", config, "-d", DATABASE]
        with log.open("w") as output:
            server = subprocess.Popen(command, stdout=output, stderr=output, env=_environ())
        try:
            tryton = Tryton(f"http://127.0.0.1:{port}", keys, file)
            _wait_for(tryton.url, server, log)
            yield tryton
        finally:
            server.terminate()
            server.wait(60)


@contextmanager
def open_transaction(tryton: Tryton) -> Iterator[sqlite3.Connection]:
    """Write to the database, and let nobody see it before the end."""
    with closing(sqlite3.connect(tryton.file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


@pytest.fixture(scope="session")
def tryton(sources_process: None) -> Iterator[Tryton]:
    """One server for all tests."""
    with running_tryton() as server:
        yield server


def _digest(*files: Path) -> str:
    text = b"".join(file.read_bytes() for file in files) + sys.version.encode()
    return sha256(text).hexdigest()[:12]


def _environ(**more: str) -> dict[str, str]:
    """Return the environment, in which Python may keep what it compiles."""
    return {**os.environ, **more} | {"PYTHONDONTWRITEBYTECODE": ""}


def _run(*command: str | Path, **environ: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_environ(**environ),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end and server.poll() is None:
        with suppress(requests.ConnectionError):
            requests.get(url, timeout=10)
            return
        time.sleep(0.1)
    raise AssertionError(f"Tryton did not start:\n{log.read_text()}")


def main() -> None:
    """Run a server until Ctrl-C."""
    with running_tryton() as server, suppress(KeyboardInterrupt):
        for name, value in server.settings.items():
            print(f"export TAP_TRYTON_{name.upper()}={value}")
        print("Tryton runs until Ctrl-C.", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
