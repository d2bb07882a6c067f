"""A real PostgreSQL with the orders of a web shop, for tests and to play with.

`python -m tests.connectors.servers.shop_source` runs one until Ctrl-C.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.postgres import Postgres, binaries, running_postgres

MISSING = "no PostgreSQL server: apt-get install postgresql"
ORDERS, CUSTOMERS = 200, 40
_SHOP = f"""
create schema shop;
create table shop.customers (
    id int primary key, full_name text, email text, country text, updated_at timestamptz);
create table shop.orders (
    id int primary key, customer_id int, total numeric(10, 2), updated_at timestamptz);
insert into shop.customers
    select n, 'Name ' || n, 'customer' || n || '@example.com', 'DE', timestamptz '2026-01-01Z'
    from generate_series(1, {CUSTOMERS}) as n;
insert into shop.orders
    select n, n % {CUSTOMERS} + 1, n * 1.25, timestamptz '2026-01-01Z'
    from generate_series(1, {ORDERS}) as n;
"""  # noqa: S608 - numbers from above


def settings(server: Postgres) -> dict[str, object]:
    """Return settings of tap-postgres."""
    return {
        "host": server.host,
        "port": server.port,
        "user": "postgres",
        "password": server.password,
        "database": "postgres",
    }


@contextmanager
def running_shop() -> Iterator[Postgres]:
    """Run a server with the same orders at every start."""
    with running_postgres("127.0.0.1") as server:
        server.query(_SHOP)
        yield server


@pytest.fixture(scope="session")
def shop(sources_process: None) -> Iterator[Postgres]:
    """The database of a web shop."""
    if binaries() is None:
        pytest.skip(MISSING)
    with running_shop() as server:
        yield server


def main() -> None:
    """Run a server until Ctrl-C, or until it is told to end."""
    if binaries() is None:
        raise SystemExit(MISSING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_shop() as server:
        for name, value in settings(server).items():
            print(f"export TAP_POSTGRES_{name.upper()}={value}")
        print("# Ctrl-C ends it and forgets its rows.", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
        # The server is to be stopped, however often somebody asks for it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
