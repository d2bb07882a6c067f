"""One real Airflow for the whole run, started as `make up` starts it, in a copy of the checkout."""

import os
import tempfile
from collections.abc import Iterator

import httpx
import pytest
from running import RunningAirflow, copy_checkout, free_port

pytest_plugins = ["aws", "cluster"]
_SHARED = ("airflow", "cluster")
# Tests that import Airflow write its configuration here, not into the home of whoever runs them.
_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME.name
for name in [each for each in os.environ if each.startswith("MELTANO_")]:
    del os.environ[name]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to one process of `pytest -n` what shares an Airflow and a cluster, or a file."""
    for item in items:
        is_shared = not set(_SHARED).isdisjoint(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group("platform" if is_shared else item.path.as_posix()))


def pytest_unconfigure() -> None:
    _AIRFLOW_HOME.cleanup()


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
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
