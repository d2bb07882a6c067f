"""`images/meltano` on a real cluster, in the pod that the Kubernetes runner makes for a job."""

import json
import shutil
import subprocess
from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import replace
from typing import Any

import pytest

from dag_factory.meltano_process.result import RunSummary
from dag_factory.options.pod_merge import merge_pods
from dag_factory.runners.kubernetes.pod_spec import pod_of_run, pod_template
from dag_factory.runners.prepare import PreparedRun
from dag_factory.settings import read_settings
from tests.support.cluster import Cluster
from tests.support.plans import plans_and_problems
from tests.support.running import CHECKOUT, wait_until

Look = Callable[..., str]
ROWS = {"countries": 249, "time_zones": 312}
USER = "10001"
PLUGIN_PYTHON = "/app/meltano/.meltano/loaders/target-duckdb/venv/bin/python"
COUNT_ROWS = """
import duckdb, json
tables = duckdb.connect("/warehouse/file.duckdb", read_only=True)
counts = tables.sql("FROM duckdb_tables() SELECT table_name, estimated_size").fetchall()
print(json.dumps(dict(counts)))
"""
WITHOUT_BYTECODE = """
import importlib.util, pathlib, sys, sysconfig
for root in ("/app", "/opt/meltano/lib", sysconfig.get_path("stdlib")):
    for source in pathlib.Path(root).rglob("*.py"):
        if source.parent.name == "bin":
            continue  # scripts, which nobody imports
        if not pathlib.Path(importlib.util.cache_from_source(source)).exists():
            try:
                compile(source.read_bytes(), source, "exec")
            except (SyntaxError, ValueError):
                continue  # templates, and tests of parsers
            print(source)
"""


def make_pod(image: str) -> dict[str, Any]:
    """Return the runner's pod, with a second container in which root can look around."""
    settings = read_settings(CHECKOUT / "meltano", environment="prod", environ={})
    plan = next(each for each in plans_and_problems(settings)[0] if each.job == "reference_data")
    (task,) = plan.tasks
    task = replace(task, options=replace(task.options, image=image))
    run = PreparedRun(
        task.argv,
        {"MELTANO_DATABASE_URI": "sqlite:////warehouse/meltano.db"},
        extractors=tuple(each.name for each in task.extractors),
        digest=task.digest,
    )
    pod = pod_of_run(pod_template(plan, task), run)
    mounts = [{"name": "warehouse", "mountPath": "/warehouse"}]
    look = {
        "name": "look",
        "image": image,
        "command": ["sleep", "infinity"],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": mounts,
    }
    # As production, but for its warehouse.
    values = {
        "WAREHOUSE_PATH": "/warehouse/file.duckdb",
        "TARGET_WAREHOUSE_LOADER": "target-duckdb",
    }
    variables = [{"name": name, "value": value} for name, value in values.items()]
    base = {"name": "base", "env": variables, "volumeMounts": mounts}
    spec = {
        "containers": [base, look],
        "volumes": [{"name": "warehouse", "emptyDir": {}}],
        "terminationGracePeriodSeconds": 1,
    }
    return merge_pods(pod, {"metadata": {"name": "reference-data"}, "spec": spec})


@pytest.fixture(scope="module")
def end(cluster: Cluster, namespace: str, meltano_image: str) -> dict[str, Any]:
    """How the container ended that ran Meltano."""
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=make_pod(meltano_image))

    def look() -> dict[str, Any] | None:
        status = cluster.get("pod", "reference-data", namespace)["status"]
        containers = status.get("containerStatuses", ())
        states = [each["state"] for each in containers if each["name"] == "base"]
        return next((state["terminated"] for state in states if "terminated" in state), None)

    return wait_until(look, 180, "the end of the run")


@pytest.fixture(scope="module")
def look(cluster: Cluster, namespace: str, end: dict[str, Any]) -> Look:
    """Run a command as root in the pod, and return what it prints."""
    where = ("exec", "reference-data", "-n", namespace, "-c", "look", "--")
    return lambda *argv: cluster.kubectl(*where, *argv)


@pytest.fixture(scope="module")
def labels(cluster: Cluster, meltano_image: str) -> dict[str, str]:
    cluster.check_is_here()
    if not shutil.which("buildah"):
        pytest.skip("needs an image that buildah has built: set IMAGE_BUILDER")
    argv = ["buildah", "inspect", "--type", "image", meltano_image]
    inspected = subprocess.run(argv, capture_output=True, text=True, check=True)
    return json.loads(inspected.stdout)["OCIv1"]["config"]["Labels"]


def test_a_job_loads_its_rows_and_leaves_its_summary(look, end):
    assert end["exitCode"] == 0, end
    assert RunSummary.from_json(end["message"]).rows == ROWS
    assert json.loads(look(PLUGIN_PYTHON, "-c", COUNT_ROWS)) == ROWS


def test_it_ran_as_a_user_who_can_change_nothing_in_the_image(look):
    assert look("stat", "-c", "%u:%g", "/warehouse/file.duckdb") == f"{USER}:{USER}\n"
    its_own = look("find", "/", "-xdev", "(", "-uid", USER, "-o", "-gid", USER, ")")
    assert sorted(its_own.split()) == ["/run/meltano", "/var/log/meltano"]
    open_to_all = ("-perm", "-0002", "!", "-perm", "-1000", "!", "-type", "l")
    assert look("find", "/", "-xdev", *open_to_all).split() == ["/warehouse"]


def test_it_holds_nothing_that_it_does_not_need(look):
    leftovers = (".env", ".git", ".cache", "meltano.db", "analytics.json", "output")
    tools = ("uv", "gcc", "cc", "make", "git")
    names = [word for name in leftovers + tools for word in ("-o", "-name", name)][1:]
    assert look("find", "/", "-xdev", "!", "-path", "/usr/share/*", "(", *names, ")") == ""


def test_python_compiles_nothing_when_it_starts(look):
    assert look("python", "-c", WITHOUT_BYTECODE) == ""


def test_its_labels_say_of_what_it_was_made(look, labels):
    setup = ConfigParser(interpolation=None)
    setup.read(CHECKOUT / "setup.cfg")
    assert labels["org.opencontainers.image.version"] == setup["metadata"]["version"]
    files = look("sh", "-c", "cd /app/meltano && find . -name .meltano -prune -o -name __pycache__"
                 " -prune -o -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum")  # fmt: skip
    assert labels["meltano-dag-factory.project-digest"] == files.split()[0]
