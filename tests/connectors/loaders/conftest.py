"""The warehouses, once for a run of tests."""

import contextlib
import os
import secrets

import pytest

from tests.support.destinations import (
    LOADERS,
    DuckDB,
    PostgreSQL,
    Snowflake,
    install,
    start_emulator,
)
from tests.support.postgres import binaries, running_postgres
from tests.support.running import CHECKOUT

LOCKS = CHECKOUT / "meltano/load"
VARIABLES = [f"SNOWFLAKE_{name}" for name in ("ACCOUNT", "USER", "DATABASE", "WAREHOUSE", "ROLE")]
EMULATED = {"account": "emulated", "user": "tests", "password": "none", "database": "RAW"}


def account():
    """Return how to log in to the account that the variables name, if they do."""
    either = ("SNOWFLAKE_PRIVATE_KEY", "SNOWFLAKE_PASSWORD")
    names = [*VARIABLES, next((name for name in either if name in os.environ), either[0])]
    if not {*names} <= os.environ.keys():
        return None
    return {name.removeprefix("SNOWFLAKE_").lower(): os.environ[name] for name in names}


ACCOUNT = account()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("loaders")


@pytest.fixture(scope="session")
def duckdb_file(folder, loaders_process):
    return DuckDB(folder / "warehouse.duckdb")


@pytest.fixture(scope="session")
def postgres_server(folder, loaders_process):
    if binaries() is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    python = install(LOCKS / "target-postgres.lock", folder / "target-postgres")
    with running_postgres("127.0.0.1") as server:
        yield PostgreSQL(server, python.with_name("target-postgres"))


@pytest.fixture(scope="session")
def target_snowflake(folder, loaders_process):
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
def snowflake_account(request, loaders_process):
    """A real account: it costs money, and its schemas are dropped in the end."""
    if ACCOUNT is None:
        variables = f"{', '.join(VARIABLES)} and SNOWFLAKE_PRIVATE_KEY or SNOWFLAKE_PASSWORD"
        pytest.skip(f"no account of Snowflake: set {variables}")
    python = request.getfixturevalue("target_snowflake")
    with contextlib.closing(Snowflake(python, ACCOUNT)) as destination:
        yield destination


@pytest.fixture(
    scope="session",
    params=[
        "duckdb_file",
        "postgres_server",
        pytest.param("emulator", marks=pytest.mark.faults),
        *(["snowflake_account"] * bool(ACCOUNT)),
    ],
)
def destination(request, loaders_process):
    """Each warehouse in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def schema():
    """A schema of its own for a test."""
    return f"loads_{secrets.token_hex(4)}"
