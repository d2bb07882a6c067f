"""One real Airflow for the whole run, started as `make up` starts it, in a copy of the checkout."""

import os
import tempfile
from collections.abc import Iterator

import httpx
import pytest

from tests.support.running import RunningAirflow, copy_checkout, free_port

pytest_plugins = [
    "tests.support.aws",
    "tests.support.cluster",
    "tests.support.known_races",
    "tests.support.not_run",
    "tests.support.process_groups",
    "tests.connectors.servers.imap_source",
    "tests.connectors.servers.ldap_source",
    "tests.connectors.servers.redmine_source",
    "tests.connectors.servers.sftp_source",
    "tests.connectors.servers.shop_source",
    "tests.connectors.servers.tryton_source",
]
# Tests that import Airflow write its configuration here, not into the home directory of the user.
_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME.name
for name in [each for each in os.environ if each.startswith("MELTANO_")]:
    del os.environ[name]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the tests that are left out: with several processes, pytest does not."""
    if config.option.markexpr != "not faults and not cluster":
        return None
    return "without the tests that take long or need a cluster, which `make test-faults` runs"


def pytest_unconfigure() -> None:
    _AIRFLOW_HOME.cleanup()


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, platform_process: None
) -> Iterator[RunningAirflow]:
    """A real Airflow that has run `reference_data` once."""
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    running = RunningAirflow(checkout, "")
    try:
        done = running.run_command("up", port=free_port())
        assert done.returncode == 0, done.stdout + done.stderr
        yield RunningAirflow(checkout, done.stdout)
    finally:
        down = running.run_command("down")
    assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(scope="session")
def api(airflow: RunningAirflow) -> Iterator[httpx.Client]:
    """A client of the running Airflow's REST API."""
    with airflow.local.api() as client:
        yield client
