"""The part of docs/secrets.md that is to be tried on one machine: its commands, as they are."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_platform.airflow_server import LocalAirflow

from tests.support.guides import BLOCKS, assert_shown, commands
from tests.support.running import CHECKOUT, copy_checkout, finished, free_port, task_log, wait_until

PAGE = (CHECKOUT / "docs/secrets.md").read_text()
[SECTION] = re.findall(r"^## Try it here$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent
# What the Makefile does, but for the installation of what the tests run in.
MAKE = 'make() {{ python -m local_platform "$1" --port {port}; }}'


class Shell:
    """A shell that keeps its variables and jobs from one command to the next."""

    def __init__(self, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DAG_FACTORY_"))}
        path = f"{BIN}{os.pathsep}{kept['PATH']}"
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={**kept, "PATH": path, "NO_PROXY": "127.0.0.1", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> str:
        """Run a command, and return what it prints."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\necho '<end>'\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != "<end>\n":
            assert line, f"the shell has ended at: {command}"
            lines.append(line)
        return "".join(lines)

    def close(self) -> None:
        """End it, and what it has left in its group."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate(timeout=60)


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[LocalAirflow]:
    """A checkout in which `make up` has been, as far as `meltano/.env` tells."""
    airflow = LocalAirflow(copy_checkout(tmp_path))
    airflow.configure(free_port())
    airflow.write_dotenv()
    try:
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture
def shell(airflow: LocalAirflow) -> Iterator[Shell]:
    shell = Shell(airflow.checkout)
    try:
        shell.run(MAKE.format(port=airflow.url.rpartition(":")[2]))
        yield shell
    finally:
        shell.close()


@pytest.mark.faults
def test_every_step_works_as_the_page_says(airflow, shell):
    section = SECTION.replace("5055", str(free_port()))
    begin, end = (block for _, kind, block in BLOCKS.findall(section) if kind == "console")
    [said] = re.findall("^From AWS .*$", section, re.MULTILINE)

    for command, expected in commands(begin):
        assert_shown(shell.run(command), expected)
    with airflow.api() as api:
        answer = api.post("dags/airflow_history/dagRuns", json={"logical_date": None})
        run = answer.raise_for_status().json()
        path = f"dags/airflow_history/dagRuns/{run['dag_run_id']}"
        assert wait_until(lambda: finished(api, path), 180, "its end") == "success"
        log = task_log(api, path)
    assert said in log
    assert airflow.passwords["tap-airflow"] not in log

    again = shell.run("AWS_DEFAULT_REGION=eu-central-1 DAG_FACTORY_SECRETS_PREFIX=other make up")
    changed = "AWS_DEFAULT_REGION, DAG_FACTORY_SECRETS_PREFIX"
    assert f"    to use the changed {changed}, stop it first: make down\n" in again

    for command, expected in commands(end):
        assert_shown(shell.run(command), expected)
    assert airflow.processes() == {}
    assert shell.run("wait; jobs; env | grep -E '^(AWS|DAG_FACTORY)_'") == ""
