"""Tests that share a server run in one process of `pytest -n`, wherever they are."""

import subprocess
import sys

import pytest

MODULE = """
import os
from pathlib import Path
import pytest

@pytest.fixture
def server(platform_process):
    pass

@pytest.mark.parametrize("number", range(3))
def test_shares_a_server(server, number):
    Path("shared").open("a").write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")

@pytest.mark.parametrize("number", range(3))
def test_shares_none(number):
    Path(__file__ + ".alone").open("a").write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""
SETTINGS = """
[pytest]
markers =
    cluster
    platform
    sources
    loaders
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    for number in range(4):
        (tmp_path / f"test_{number}.py").write_text(MODULE)
    return tmp_path


def run_pytest(folder, *options):
    argv = [sys.executable, "-m", "pytest", "-p", "tests.support.process_groups", *options]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_tests_that_share_a_server_run_in_one_process(folder, monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    done = run_pytest(folder, "-n", "2")
    assert "24 passed" in done.stdout, done.stdout + done.stderr
    workers = (folder / "shared").read_text().split()
    assert (len(workers), len({*workers})) == (12, 1)
    alone = [file.read_text().split() for file in folder.glob("*.alone")]
    assert all(len({*workers}) == 1 for workers in alone)


def test_they_have_the_marker_of_their_group(folder, monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    done = run_pytest(folder, "--collect-only", "-q", "-m", "platform")
    assert "12/24 tests collected (12 deselected)" in done.stdout
