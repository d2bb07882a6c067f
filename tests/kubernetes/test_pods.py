"""Which pods a task takes for its own, and which it removes, on a real cluster."""

from datetime import timedelta

import pytest
from running import wait_until

from dag_factory.runners import pods as runner
from dag_factory.runners.pod_spec import MANAGED_BY

SLEEP = "import time; time.sleep(600)"
CHECKED = {"already_checked": "True"}
OF_TASK = {
    **MANAGED_BY,
    "dag_id": "a_dag",
    "task_id": "a_task",
    "run_id": "a_run",
    "try_number": "1",
    "kubernetes_pod_operator": "True",
    "meltano_job": "a_job",
    "meltano_environment": "prod",
}


class TaskInstance:
    """As much of one as the names of its pods' labels need."""

    dag_id, task_id, map_index, try_number = "a_dag", "a_task", -1, 1


@pytest.fixture
def namespace(cluster):
    with cluster.new_namespace() as name:
        yield name


@pytest.fixture
def task_pod(cluster, namespace):
    """The pod of a task in production."""
    template = {"metadata": {"labels": OF_TASK}, "spec": {}}
    connection = {"config_file": cluster.kubeconfig, "namespace": namespace}
    return runner.MeltanoPod(task_id="a_task", name="a-pod", template=template, **connection)


@pytest.fixture
def start(cluster, namespace, meltano_image):
    """Start a pod that somebody else has left, and wait until it runs, or has ended."""

    def start(name, code, phase, **labels):
        container = {"name": "base", "image": meltano_image, "command": ["python", "-c", code]}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": OF_TASK | labels},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
            },
        }
        cluster.apply(manifest)
        has_phase = lambda: cluster.get("pod", name, namespace)["status"]["phase"] == phase  # noqa: E731
        wait_until(has_phase, 120, f"{phase} of {name}")

    return start


def names(cluster, namespace):
    return {*cluster.kubectl("get", "pods", "-n", namespace, "-o", "name").split()}


def test_environments_that_share_a_namespace_do_not_take_one_anothers_pods(
    task_pod, start, namespace
):
    start("of-dev", SLEEP, "Running", meltano_environment="dev")
    context = {"ti": TaskInstance, "run_id": "a_run", "dag": None}
    assert task_pod.find_pod(namespace, context) is None
    start("of-prod", SLEEP, "Running")
    assert task_pod.find_pod(namespace, context).metadata.name == "of-prod"


def test_pods_that_are_over_are_removed_when_they_have_been_looked_at_for_long_enough(
    task_pod, start, namespace, cluster, monkeypatch
):
    start("failed", "raise SystemExit(3)", "Failed", **CHECKED)
    start("lost", "pass", "Succeeded")
    start("running", SLEEP, "Running", **CHECKED)
    everything = {"pod/failed", "pod/lost", "pod/running"}

    task_pod._remove_old_pods(namespace)
    assert names(cluster, namespace) == everything

    monkeypatch.setattr(runner, "_KEPT", timedelta(0))
    task_pod._remove_old_pods(namespace)
    wait_until(lambda: names(cluster, namespace) == everything - {"pod/failed"}, 60, "its end")

    monkeypatch.setattr(runner, "_FORGOTTEN", timedelta(0))
    task_pod._remove_old_pods(namespace)
    wait_until(lambda: names(cluster, namespace) == {"pod/running"}, 60, "its end")
