"""`make up` that is interrupted, or cannot start, leaves nothing that is in the way of the next."""

import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from local_platform.airflow_server import COMPONENTS, LocalAirflow
from local_platform.console import LocalError
from local_platform.steps import start

from tests.support.interruptions import interrupt
from tests.support.running import RunningAirflow, copy_checkout, count, free_port

pytestmark = [
    pytest.mark.faults,
    # Airflow's components are stopped by pid.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
# A part of the output that begins a step, and how it is interrupted then.
POINTS = (
    ("Installing Meltano's plugins", signal.SIGKILL),
    ("waiting for Airflow's database", signal.SIGINT),
    ("waiting for api-server", signal.SIGKILL),
    ("waiting for scheduler", signal.SIGINT),
    ("DAGs, one per job of", signal.SIGINT),
    # A scheduled run may have ended before.
    ("run of reference_data|reference_data (has run before|ran)", signal.SIGKILL),
)


@pytest.fixture
def running(tmp_path: Path):
    found = RunningAirflow(copy_checkout(tmp_path / "checkout"), "")
    yield found
    down = found.run_command("down")
    assert down.returncode == 0, down.stdout + down.stderr


def test_interrupted_at_each_step_it_carries_on(running):
    port = free_port()
    argv = [sys.executable, "-m", "local_platform", "up", "--port", str(port)]
    for point, how in POINTS:
        printed = interrupt(argv, point, how, running.checkout)
        if how is signal.SIGINT:
            assert printed.endswith("make up: interrupted; run it again to continue\n")
    done = running.run_command("up", port=port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(running.warehouse, "tap_spreadsheets.time_zones") == 312
    assert len(running.local.processes()) == len(COMPONENTS)
    assert strays_of(running.local) == set()


def test_a_failed_start_leaves_nothing_running_and_names_the_log(tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    bad = {"AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "no number"}
    airflow = LocalAirflow(checkout, variables=bad)
    airflow.configure(free_port())
    with pytest.raises(LocalError) as caught:
        start(airflow)
    assert str(airflow.log_file("triggerer")) in str(caught.value)
    assert airflow.processes() == {}
    assert strays_of(airflow) == set()


def strays_of(airflow: LocalAirflow) -> set[psutil.Process]:
    """Return the processes of an Airflow that it does not know of."""
    known = set(airflow.processes().values())
    known |= {child for each in known for child in each.children(recursive=True)}
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("AIRFLOW_HOME") == str(airflow.home):
                found.add(process)
    return found - known
