"""A real PostgreSQL server for a run of tests."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.running import free_port

_OWNER = "postgres"


@dataclass(frozen=True)
class Postgres:
    """A server, and how to reach it."""

    host: str
    port: int
    password: str

    def url(self, scheme: str = "postgresql") -> str:
        """Return the address of the one database, for SQLAlchemy."""
        return f"{scheme}://{_OWNER}:{self.password}@{self.host}:{self.port}/{_OWNER}"

    def query(self, sql: str, *values: object) -> list[tuple]:
        """Run a statement, and return its rows."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []


def binaries() -> Path | None:
    """Return where the newest server's programs are, as Debian's package `postgresql` puts them."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda file: int(file.parts[-3]), default=None)
    return newest.parent if newest else None


@contextmanager
def running_postgres(host: str) -> Iterator[Postgres]:
    """Run a server that listens on one address, in a folder of its own."""
    programs = binaries()
    assert programs is not None
    server = Postgres(host, free_port(), secrets.token_urlsafe(16))
    # PostgreSQL refuses to run as root.
    user = _OWNER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        data, password = folder / "data", folder / "password"
        password.write_text(server.password)
        if user:
            for path in (folder, password):
                shutil.chown(path, user)

        def run(program: str, *words: str | Path) -> None:
            command = [programs / program, "-D", data, *words]
            subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

        run("initdb", "-U", _OWNER, "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
        (data / "pg_hba.conf").write_text("host all all 0.0.0.0/0 scram-sha-256\n")
        options = f"-h {host} -p {server.port} -k {folder} -c fsync=off -c max_connections=200"
        run("pg_ctl", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield server
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
