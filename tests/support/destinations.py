"""The warehouses that loads are tested with: each with its loader, and a way to read what came."""

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx

from tests.support.postgres import Postgres
from tests.support.running import CHECKOUT, free_port, wait_until
from tests.support.singer_source import BATCH, Row, Stream

LOADERS = CHECKOUT / "tests/connectors/loaders"
PATIENCE = 300
# A loader that cannot keep its bytecode compiles 3 s of imports at each start.
ENVIRON = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRON["PYTHONPATH"] = str(LOADERS / "patches")
COMMON = {"batch_size_rows": BATCH, "add_record_metadata": False}


def install(lock: Path, folder: Path) -> Path:
    """Install what is locked, and return its Python."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    python = folder / "bin/python"
    for argv in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(lock)],
    ):
        done = subprocess.run([uv, *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return python


@dataclass
class DuckDB:
    """A file, and the loader of this repository."""

    path: Path
    name = "target-duckdb"
    executable = Path(sysconfig.get_path("scripts")) / "target-duckdb"
    environ = ENVIRON

    def config(self, schema: str) -> Row:
        return {**COMMON, "path": str(self.path), "default_target_schema": schema}

    def rows(self, schema: str, stream: Stream) -> list[Row]:
        try:
            with duckdb.connect(self.path, read_only=True) as connection:
                found = connection.execute(f'FROM "{schema}"."{stream.name}"')
                names = [column[0] for column in found.description]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except (duckdb.IOException, duckdb.CatalogException):
            return []  # Locked for the moment, or not there yet.


@dataclass
class PostgreSQL:
    """A real server, and MeltanoLabs' loader."""

    server: Postgres
    executable: Path
    name = "target-postgres"
    environ = ENVIRON

    def config(self, schema: str) -> Row:
        url = self.server.url("postgresql+psycopg")
        more = {"default_target_schema": schema, "activate_version": False, "use_copy": True}
        return {**COMMON, "sqlalchemy_url": url, **more}

    def rows(self, schema: str, stream: Stream) -> list[Row]:
        found = self.server.query("SELECT to_regclass(%s) IS NOT NULL", f"{schema}.{stream.name}")
        if found == [(False,)]:
            return []
        names = self.server.query(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            schema,
            stream.name,
        )
        rows = self.server.query(f'SELECT * FROM "{schema}"."{stream.name}"')  # noqa: S608
        return [dict(zip([name for (name,) in names], row, strict=True)) for row in rows]


class Snowflake:
    """An account of Snowflake, or the emulator, and MeltanoLabs' loader."""

    name = "target-snowflake"

    def __init__(self, python: Path, account: Row, endpoint: str | None = None) -> None:
        self.account, self.endpoint = account, endpoint
        self.schemas: set[str] = set()
        self.executable = python.with_name(self.name)
        self.environ = {**ENVIRON, **({"LOADER_SNOWFLAKE_ENDPOINT": endpoint} if endpoint else {})}
        self.asker = subprocess.Popen(
            [python, LOADERS / "ask_snowflake.py"],
            env={**self.environ, "SNOWFLAKE_ACCOUNT_JSON": json.dumps(account)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def config(self, schema: str) -> Row:
        self.schemas.add(schema)
        more = {"default_target_schema": schema, "timestamp_type": "TIMESTAMP_TZ"}
        return {**COMMON, **self.account, **more}

    def ask(self, sql: str) -> list[list[Any]]:
        """Run a statement through the real connector."""
        self.asker.stdin.write(json.dumps(sql) + "\n")
        self.asker.stdin.flush()
        answer = json.loads(self.asker.stdout.readline())
        assert "error" not in answer, answer
        return answer["rows"]

    def rows(self, schema: str, stream: Stream) -> list[Row]:
        where = f"table_schema = '{schema.upper()}' and table_name = '{stream.name.upper()}'"
        source = "information_schema.columns"
        found = self.ask(f"select column_name, data_type from {source} where {where}")  # noqa: S608
        names = [name.lower() for name, _ in found]
        # The emulator answers a null among moments with 1970.
        columns = [
            f"date_part(epoch_microsecond, {name})" if kind.startswith("TIMESTAMP") else name
            for name, kind in found
        ]
        if not names:
            return []
        rows = self.ask(f"select {', '.join(columns)} from {schema}.{stream.name}")  # noqa: S608
        return [dict(zip(names, row, strict=True)) for row in rows]

    def fail_next(self, statement: str) -> None:
        """Let the next statement that matches fail."""
        httpx.post(f"{self.endpoint}/fail-next", content=statement).raise_for_status()

    def close(self) -> None:
        for schema in self.schemas:
            self.ask(f"drop schema if exists {schema}")
        self.asker.communicate(timeout=PATIENCE)


def start_emulator(python: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the emulator, and return its process and address once it answers."""
    port = free_port()
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [python, LOADERS / "emulator/server.py", str(port)],
            env={**ENVIRON, "TMPDIR": str(folder)},
            stdout=log,
            stderr=log,
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / "emulator.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/").status_code > 0
        except httpx.TransportError:
            return False

    wait_until(answers, PATIENCE, "the emulator")
    return process, f"http://127.0.0.1:{port}"
