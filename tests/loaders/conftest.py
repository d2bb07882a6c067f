"""The warehouses, once for a run of tests."""

import contextlib
import secrets

import pytest
from destinations import LOADERS, DuckDB, PostgreSQL, Snowflake, install, start_emulator
from postgres import binaries, running_postgres
from running import CHECKOUT

LOCKS = CHECKOUT / "meltano/load"
EMULATED = {"account": "emulated", "user": "tests", "password": "none", "database": "RAW"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("loaders")


@pytest.fixture(scope="session")
def duckdb_file(folder):
    return DuckDB(folder / "warehouse.duckdb")


@pytest.fixture(scope="session")
def postgres_server(folder):
    if binaries() is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    python = install(LOCKS / "target-postgres.lock", folder / "target-postgres")
    with running_postgres("127.0.0.1") as server:
        yield PostgreSQL(server, python.with_name("target-postgres"))


@pytest.fixture(scope="session")
def target_snowflake(folder):
    """The Python of the loader."""
    return install(LOCKS / "target-snowflake.lock", folder / "target-snowflake")


@pytest.fixture(scope="session")
def emulator(folder, target_snowflake):
    process, endpoint = start_emulator(install(LOADERS / "emulator.lock", folder / "fakesnow"), folder)
    try:
        with contextlib.closing(Snowflake(target_snowflake, EMULATED, endpoint)) as destination:
            yield destination
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session", params=["duckdb_file", "postgres_server", "emulator"])
def destination(request):
    """Each warehouse in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def schema():
    """A schema of its own for a test."""
    return f"loads_{secrets.token_hex(4)}"
