"""The library stands alone: a wheel in a clean venv, on a project outside the repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import CHECKOUT, copy_checkout
from tests.support.small_project import PLUGINS

PROJECT = f"jobs: [{{name: load, tasks: ['tap-a target-x', 'dbt:run']}}]\n{PLUGINS}"
BUILD_DAGS = """
import sys
from dag_factory import build_airflow_dags
dag = build_airflow_dags()["load"]
print(dag.task_ids, "meltano" in sys.modules)
"""


@pytest.fixture(scope="module")
def uv(tmp_path_factory):
    """Run uv outside the repository, with this venv's setuptools to build with."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    folder = tmp_path_factory.mktemp("uv")

    def run(*arguments):
        argv = ["uv", *map(str, arguments), "--quiet"]
        done = subprocess.run(
            argv, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture(scope="module")
def wheel(uv, tmp_path_factory):
    source = copy_checkout(tmp_path_factory.mktemp("source"))
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def venv(uv, wheel, tmp_path_factory):
    """A venv with the wheel, and a command that runs what is in it on a project elsewhere."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    uv("venv", "--python", sys.executable, folder)
    install = ("pip", "install", "--python", folder, "--constraint", CHECKOUT / "requirements.lock")
    uv(*install, wheel)
    project = tmp_path_factory.mktemp("project")
    (project / "meltano.yml").write_text(PROJECT)
    own = {
        "MELTANO_PROJECT_ROOT": str(project),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PATH": os.defpath,
    }

    def run(name, *arguments):
        done = subprocess.run(
            [folder / "bin" / name, *arguments], cwd=project, env=own, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run, lambda extra: uv(*install, f"{wheel}[{extra}]")


def test_the_command_line_needs_neither_airflow_nor_meltano(venv):
    run, _ = venv
    assert run("meltano-dags", "check") == "1 DAG, no problems, no warnings\n"
    (row,) = json.loads(run("meltano-dags", "list", "--format", "json"))
    assert [each["task_id"] for each in row["tasks"]] == ["tap-a-to-target-x", "dbt.run"]
    assert run("meltano-state", "--help").startswith("usage: meltano-state ")
    missing = "from importlib.util import find_spec as f; print(f('airflow'), f('meltano'))"
    assert run("python", "-c", missing) == "None None\n"


def test_the_dags_are_built_without_meltano(venv):
    run, install = venv
    install("airflow")
    built = run("python", "-W", "ignore", "-c", BUILD_DAGS).splitlines()[-1]
    assert built == "['tap-a-to-target-x', 'dbt.run'] False"
