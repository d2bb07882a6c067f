"""`deploy/local/install` on machines that lack something; each time one clear line."""

import os
import signal
import socket
import subprocess

import pytest

from tests.support.running import CHECKOUT, copy_checkout, wait_until


@pytest.fixture
def checkout(tmp_path):
    return copy_checkout(tmp_path / "checkout")


def install(checkout, *options, **environ):
    return subprocess.run(
        ["/bin/sh", str(checkout / "deploy/local/install"), *options],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def make_command(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_without_a_suitable_python_it_says_which_and_how_to_name_one(checkout):
    done = install(checkout, PYTHON="/bin/false /bin/true-not-there")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no Python 3.11, 3.12 or 3.13" in line
    assert "make PYTHON=" in line


def test_a_command_that_is_there_but_does_not_run_is_passed_over(checkout, tmp_path):
    environ = make_command(tmp_path / "bin", "python3.13", "exit 127")
    done = install(checkout, **environ, PYTHON="python3.13")
    assert "no Python 3.11" in done.stderr


def test_without_disk_it_says_how_much_is_needed(checkout, tmp_path):
    text = "echo Filesystem; echo 'disk 9 8 1000 9% /'"
    done = install(checkout, **make_command(tmp_path / "bin", "df", text))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "needs 2 GB of free disk space" in line


def test_a_port_in_use_is_named_before_anything_is_installed(checkout):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = install(checkout, "--port", str(port))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    start = f"make up: port {port} is in use by another program; choose another: PORT="
    assert line.startswith(start)
    assert int(line.removeprefix(start)) > port
    assert not (checkout / ".venv").exists()


def test_a_port_that_is_no_number_is_one_clear_line(checkout):
    done = install(checkout, "--port", "80a")
    assert done.returncode == 1
    assert done.stderr == "make up: PORT must be a number such as 8081, not '80a'\n"


@pytest.mark.faults
def test_an_interrupted_install_carries_on(checkout):
    argv = ["/bin/sh", str(checkout / "deploy/local/install")]
    first = subprocess.Popen(argv, start_new_session=True, stderr=subprocess.DEVNULL)
    wait_until((checkout / ".venv/bin/uv").exists, 60, "half of uv")
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(60) != 0
    (checkout / ".venv/bin/uv").write_text("half a file")
    done = install(checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv/bin/meltano-dags").exists()
    again = install(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "docs/screenshots.lock",
        "images/airflow/requirements.lock",
        "images/meltano/requirements.lock",
        "images/tools.lock",
        "meltano/extract/tap-spreadsheets.lock",
        "meltano/load/target-postgres.lock",
        "meltano/load/target-snowflake.lock",
        "tests/connectors/loaders/emulator.lock",
    ],
)
def test_a_lock_names_versions_and_hashes_and_no_addresses(lock):
    lines = (CHECKOUT / lock).read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("--index")]
    assert all("==" in line for line in lines if line[:1].isalpha())
