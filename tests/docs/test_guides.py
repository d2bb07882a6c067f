"""The guides in docs: what they show is written to files, and run.

Blocks of `sh` are not run: they install, and here the plugins run in the environment of the tests.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.support.guides import BLOCKS, assert_shown, commands
from tests.support.running import CHECKOUT, copy_checkout, free_port, query, stand_in, wait_until
from tests.support.small_project import PLUGINS

FROM_A_SCRIPT = (CHECKOUT / "docs/from-a-script.md").read_text()
MOVING = (CHECKOUT / "docs/moving.md").read_text()
STAND_IN = "tests/support/helpdesk.py"
BIN = Path(sys.executable).parent


@pytest.fixture
def checkout(tmp_path):
    """A copy in which the plugins of the page, and the loader, are as good as installed."""
    checkout = copy_checkout(tmp_path)
    tap = "from tap_helpdesk import TapHelpdesk; TapHelpdesk.cli()"
    path = checkout / "extractors/tap-helpdesk"
    project = checkout / "meltano"
    command = f"env PYTHONPATH='{path}' {BIN}/python -c '{tap}'"
    stand_in(project, "extractors/tap-helpdesk", command)
    stand_in(project, "loaders/target-duckdb", f"{BIN}/target-duckdb")
    stand_in(project, "utilities/helpdesk", f"{BIN}/python", "python")
    (project / "output").mkdir()
    return checkout


@pytest.fixture
def run(checkout):
    """Run a command as in the shell of the page, and return what it prints."""
    paths = [checkout / "extractors/tap-helpdesk", CHECKOUT]
    environ = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "NO_PROXY": "127.0.0.1",
    }

    def run(command):
        command = command.replace("meltano run", "meltano run --no-install")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=checkout / "meltano",
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture
def start(checkout, request):
    """Start the stand-in for the API, and wait until it answers."""

    def start(port):
        process = subprocess.Popen([sys.executable, checkout / STAND_IN], stderr=subprocess.DEVNULL)
        request.addfinalizer(process.wait)
        request.addfinalizer(process.terminate)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), 20, "the stand-in")

    return start


def answers(url):
    try:
        return bool(httpx.get(url, trust_env=False).status_code)
    except httpx.TransportError:
        return False


def test_every_step_from_the_script_to_the_tap_works_as_the_page_says(checkout, run, start):
    port = free_port()
    files = {}
    for name, kind, block in BLOCKS.findall(FROM_A_SCRIPT.replace("8765", str(port))):
        if name:
            files[name] = checkout / name
            files[name].parent.mkdir(parents=True, exist_ok=True)
            files[name].write_text(block)
            if name == STAND_IN:
                start(port)
        elif kind == "console":
            for command, expected in commands(block):
                assert_shown(run(command), expected)

    with (checkout / "meltano/output/tickets.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["1", "2", "3", "4", "5"]
    warehouse = checkout / "meltano/output/warehouse.duckdb"
    rows = query(warehouse, "SELECT id, status FROM tap_helpdesk.tickets ORDER BY id")
    assert rows == [(1, "open"), (2, "closed"), (3, "open"), (4, "open"), (5, "open")]
    # What `make test` would say of the files, once they are somebody's own.
    python = " ".join(str(file) for file in files.values() if file.suffix == ".py")
    run(f"ruff check --quiet {python} && ruff format --check --quiet {python}")


SCHEDULED = """
jobs:
- {name: load, tasks: [tap-a target-x]}
- {name: by_hand, tasks: ['dbt:run']}
- {name: once_too, tasks: ['dbt:test']}
schedules:
- {name: nightly, job: load, interval: '@daily'}
- {name: hourly, job: load, interval: '@hourly'}
- {name: once, job: once_too, interval: '@once'}
- {name: weekly, job: once_too, interval: '@weekly'}
- {name: old, extractor: tap-b, loader: target-x, transform: skip, interval: '@daily'}
"""


def test_the_dag_files_that_keep_the_history_give_the_ids_that_the_page_says(tmp_path, monkeypatch):
    (tmp_path / "meltano.yml").write_text(PLUGINS + SCHEDULED)
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    (tmp_path / "dags").mkdir()
    for name, _, block in BLOCKS.findall(MOVING):
        if name:
            (tmp_path / "dags" / name).write_text(block)

    bag = DagBag(tmp_path / "dags")
    assert bag.import_errors == {}
    kept, begun_anew = {"meltano_nightly_load", "meltano_weekly_once_too"}, {"meltano_old_old"}
    assert set(bag.dags) == kept | begun_anew | {"meltano_by_hand_by_hand", "meltano_state"}
