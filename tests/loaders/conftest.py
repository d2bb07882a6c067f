"""The warehouses, once for a run of tests."""

import contextlib
import os
import secrets

import pytest
from destinations import LOADERS, DuckDB, PostgreSQL, Snowflake, install, start_emulator
from postgres import binaries, running_postgres
from running import CHECKOUT

LOCKS = CHECKOUT / "meltano/load"
ACCOUNT = ("ACCOUNT", "USER", "DATABASE", "WAREHOUSE", "ROLE")
SECRETS = ("PRIVATE_KEY", "PASSWORD")
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
    process, endpoint = start_emulator(
        install(LOADERS / "emulator.lock", folder / "fakesnow"), folder
    )
    try:
        with contextlib.closing(Snowflake(target_snowflake, EMULATED, endpoint)) as destination:
            yield destination
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def snowflake_account(request):
    """A real account: it costs money, and its schemas are dropped in the end."""
    account = {name.lower(): os.environ.get(f"SNOWFLAKE_{name}") for name in ACCOUNT}
    key = next((name for name in SECRETS if f"SNOWFLAKE_{name}" in os.environ), None)
    if key is None or None in account.values():
        names = ", ".join(
            f"SNOWFLAKE_{name}" for name in (*ACCOUNT, " or SNOWFLAKE_".join(SECRETS))
        )
        pytest.skip(f"set {names}")
    account[key.lower()] = os.environ[f"SNOWFLAKE_{key}"]
    python = request.getfixturevalue("target_snowflake")
    with contextlib.closing(Snowflake(python, account)) as destination:
        yield destination


@pytest.fixture(
    scope="session", params=["duckdb_file", "postgres_server", "emulator", "snowflake_account"]
)
def destination(request):
    """Each warehouse in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def schema():
    """A schema of its own for a test."""
    return f"loads_{secrets.token_hex(4)}"
