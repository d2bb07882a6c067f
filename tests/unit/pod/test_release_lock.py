"""Locks of a real Meltano: runs that live, and runs that were killed."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dag_factory.options.catalog import TaskOptions
from dag_factory.pod import release_lock
from dag_factory.pod.release_lock import meltano_python
from tests.support.running import wait_until
from tests.support.shell_project import COMMAND, PROJECT, STATE_ID, write_script

TAP = "if [ -e hold ]; then touch held; exec sleep 600; fi"
TARGET = "cat"
MELTANO = str(Path(sys.executable).with_name("meltano"))
RUN = (MELTANO, *COMMAND[1:])
BY_PATH = (sys.executable, release_lock.__file__)
AS_MODULE = (sys.executable, "-m", "dag_factory.pod.release_lock")


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A project whose run was killed some seconds ago."""
    root = tmp_path_factory.mktemp("locked")
    (root / "meltano.yml").write_text(f"{PROJECT}send_anonymous_usage_stats: false\n")
    (root / ".env").write_text("MELTANO_DATABASE_URI=sqlite:///system.db\n")
    for name, text in (("tap", TAP), ("target", TARGET)):
        write_script(root / name, text)
    with running(root):
        pass
    return root


@pytest.fixture
def project(locked, tmp_path):
    return shutil.copytree(locked, tmp_path / "project")


@contextmanager
def running(root):
    """Have a run go on, and kill it in the end as the kernel does when memory is short."""
    (root / "held").unlink(missing_ok=True)
    (root / "hold").touch()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(RUN, cwd=root, start_new_session=True, **quiet) as process:
        try:
            wait_until((root / "held").exists, 60, "the tap")
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    (root / "hold").unlink()


def call(root, *argv, **variables):
    """Return the exit code of a command, and what it says."""
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(argv, cwd=root, env=os.environ | variables, check=False, **out)
    return done.returncode, done.stdout


def set_heartbeat(root, ago):
    moment = f"{datetime.now(UTC) - ago:%Y-%m-%d %H:%M:%S.%f}"
    with closing(sqlite3.connect(root / "system.db")) as database, database:
        database.execute("UPDATE runs SET last_heartbeat_at = ?", [moment])


def outcome_of_runs(root):
    with closing(sqlite3.connect(root / "system.db")) as database:
        runs = database.execute("SELECT state, payload FROM runs ORDER BY id").fetchall()
    return [(state, json.loads(payload).get("error")) for state, payload in runs]


def test_a_run_that_lives_keeps_its_lock(project):
    set_heartbeat(project, timedelta(minutes=6))
    with running(project):
        code, said = call(project, *BY_PATH, STATE_ID)
        assert code == 1
        assert f"Error: {STATE_ID!r} keeps its lock: its run was alive " in said
        assert outcome_of_runs(project)[-1] == ("RUNNING", None)


def test_a_killed_run_blocks_the_next_until_its_lock_is_released(project):
    set_heartbeat(project, timedelta(seconds=20))
    code, said = call(project, *RUN)
    assert code == 1
    assert f"Another '{STATE_ID}' pipeline is already running" in said
    code, said = call(project, *BY_PATH, STATE_ID)
    assert code == 1
    assert "if it was killed, try again in " in said

    set_heartbeat(project, timedelta(seconds=31))
    code, said = call(project, *BY_PATH, STATE_ID, MELTANO_JOB_TRIGGER="airflow:meltano_state/r1")
    assert code == 0
    ((state, reason),) = outcome_of_runs(project)
    assert state == "FAIL"
    released = r"No heartbeat for 3\d s. The lock was released by airflow:meltano_state/r1."
    assert re.fullmatch(released, reason)
    line = rf"^{STATE_ID!r} is free: its run of .* UTC is marked as failed: {reason}$"
    assert re.search(line, said, re.MULTILINE)
    assert call(project, *RUN)[0] == 0


@pytest.mark.parametrize(
    ("ago", "code"), [(timedelta(minutes=4), 1), (TaskOptions().retry_delay, 0)]
)
def test_a_retry_after_the_default_delay_needs_no_release(project, ago, code):
    set_heartbeat(project, ago)
    assert call(project, *RUN)[0] == code


def test_a_state_id_without_a_run_has_no_lock(project):
    code, said = call(project, *BY_PATH, "--", "--help")
    assert code == 0
    assert "'--help' has no lock: no run of it is marked as running" in said


def test_meltano_never_imports_what_lies_beside_the_file(project, tmp_path):
    program = Path(shutil.copy(release_lock.__file__, tmp_path))
    program.with_name("sqlalchemy.py").write_text("raise RuntimeError")
    assert call(project, sys.executable, program, "none")[0] == 0


def test_it_is_a_module_too_and_finds_the_database_as_meltano_does(project):
    other = {"MELTANO_DATABASE_URI": "sqlite:///other.db"}
    with_package = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    code, said = call(project, *AS_MODULE, STATE_ID, **other, **with_package)
    assert (code, "has no lock" in said) == (0, True)
    assert (project / "other.db").exists()
    assert outcome_of_runs(project) == [("RUNNING", None)]


def test_without_a_project_there_is_one_clear_line(tmp_path):
    code, said = call(tmp_path, *BY_PATH, STATE_ID)
    assert code == 1
    assert said.splitlines()[-1].startswith("Error: ProjectNotFound: Cannot find ")


@pytest.fixture
def python(tmp_path):
    """The Python of a virtual environment."""
    file = tmp_path / "bin/python"
    file.parent.mkdir()
    file.touch(mode=0o755)
    return file


@pytest.mark.parametrize("first_line", ["#!{}", "#! {} -sE"])
def test_the_python_of_meltano_is_that_of_its_command(tmp_path, python, first_line):
    command = tmp_path / "meltano"
    command.write_text(f"{first_line.format(python)}\nimport meltano\n")
    assert meltano_python(command) == str(python)


def test_a_link_to_a_command_that_names_no_python_leads_to_the_one_beside_it(tmp_path, python):
    command = python.with_name("meltano")
    command.write_text("#!/bin/sh\n'''exec' \"/a long path/python\" \"$0\" \"$@\"\n' '''\n")
    link = tmp_path / "meltano"
    link.symlink_to(command)
    assert meltano_python(link) == str(python)


def test_the_python_on_the_path_may_be_meant(tmp_path, python, monkeypatch):
    monkeypatch.setenv("PATH", str(python.parent))
    command = tmp_path / "meltano"
    command.write_text("#!/usr/bin/env python\n")
    assert meltano_python(command) == str(python)


def test_a_command_that_is_no_python_program_does_not_tell(tmp_path):
    command = tmp_path / "meltano"
    command.write_text("#!/bin/sh\nexec docker run meltano/meltano\n")
    assert meltano_python(command) is None


def test_the_python_of_this_meltano_has_meltano():
    python = meltano_python(Path(MELTANO))
    assert subprocess.run([python, "-c", "import meltano"], check=False).returncode == 0
