"""Which pods a task takes for its own, and which it removes, on a real cluster."""

from datetime import timedelta
from functools import partial

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.sdk.exceptions import AirflowException

from dag_factory.options.pod_values import MANAGED_BY
from dag_factory.runners.kubernetes import old_pods
from dag_factory.runners.kubernetes.operator import MeltanoPodOperator
from dag_factory.runners.kubernetes.pod import MeltanoPod
from dag_factory.runners.prepare import PreparedRun
from tests.support.running import wait_until

pytestmark = pytest.mark.faults

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


TEMPLATE = {
    "metadata": {"labels": OF_TASK},
    "spec": {"containers": [{"name": "base", "image": "localhost/absent:1"}]},
}


class TaskInstance:
    """As much of one as the names of its pods' labels need."""

    dag_id, task_id, map_index, try_number = "a_dag", "a_task", -1, 1


CONTEXT = {"ti": TaskInstance, "run_id": "a_run", "dag": None}


@pytest.fixture
def namespace(cluster):
    with cluster.new_namespace() as name:
        yield name


@pytest.fixture
def connection(cluster, namespace):
    return {"config_file": cluster.kubeconfig, "namespace": namespace}


@pytest.fixture
def task_pod(connection):
    """The pod of a task in production."""
    return MeltanoPod(task_id="a_task", name="a-pod", template=TEMPLATE, **connection)


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
    assert task_pod.find_pod(namespace, CONTEXT) is None
    start("of-prod", SLEEP, "Running")
    assert task_pod.find_pod(namespace, CONTEXT).metadata.name == "of-prod"


def test_pods_that_are_over_are_removed_when_they_have_been_looked_at_for_long_enough(
    task_pod, start, namespace, cluster, monkeypatch
):
    start("failed", "raise SystemExit(3)", "Failed", **CHECKED)
    start("lost", "pass", "Succeeded")
    start("running", SLEEP, "Running", **CHECKED)
    everything = {"pod/failed", "pod/lost", "pod/running"}

    delete_old_pods = partial(
        old_pods.delete_old_pods,
        task_pod.client,
        task_pod.pod_manager,
        namespace,
        task_pod.POD_CHECKED_KEY,
    )
    delete_old_pods()
    assert names(cluster, namespace) == everything

    monkeypatch.setattr(old_pods, "FAILED_POD_LIFETIME", timedelta(0))
    delete_old_pods()
    wait_until(lambda: names(cluster, namespace) == everything - {"pod/failed"}, 60, "its end")

    monkeypatch.setattr(old_pods, "LOST_POD_LIFETIME", timedelta(0))
    delete_old_pods()
    wait_until(lambda: names(cluster, namespace) == {"pod/running"}, 60, "its end")


class Store(dict):
    """Airflow's state of a task, without Airflow."""

    def set(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


@pytest.fixture
def taken(task_pod, namespace):
    """The name of the pod that a task takes for its own when it starts again."""

    def taken(store):
        context = {**CONTEXT, "task_state_store": store}
        fresh = PodGenerator.deserialize_model_dict(task_pod.template)
        fresh.metadata.name, fresh.metadata.namespace = "fresh", namespace
        return task_pod.get_or_create_pod(fresh, context).metadata.name

    return taken


@pytest.mark.parametrize(("code", "phase"), [(SLEEP, "Running"), ("pass", "Succeeded")])
def test_a_task_whose_worker_is_gone_takes_its_pod_up_again(start, taken, code, phase):
    start("of-before", code, phase)
    assert taken(Store()) == "of-before"


def test_a_pod_that_has_failed_is_left_for_people(start, taken, cluster, namespace):
    start("of-before", "raise SystemExit(3)", "Failed")
    assert taken(Store()) == "fresh"
    assert names(cluster, namespace) == {"pod/of-before", "pod/fresh"}


def test_a_task_that_was_cleared_while_it_was_deferred_starts_anew(
    start, taken, cluster, namespace
):
    start("of-before", SLEEP, "Running")
    assert taken(Store(meltano_deferred=True)) == "fresh"
    assert names(cluster, namespace) == {"pod/fresh"}


def test_a_pod_that_is_being_deleted_is_waited_for(start, taken, cluster, namespace):
    start("of-before", SLEEP, "Running")
    cluster.kubectl("delete", "pod", "of-before", "-n", namespace, "--wait=false")
    assert taken(Store()) == "fresh"
    assert names(cluster, namespace) == {"pod/fresh"}


def test_the_pod_of_a_task_whose_trigger_failed_is_deleted(task_pod, start, cluster, namespace):
    start("of-before", SLEEP, "Running")
    store = Store(meltano_deferred=True)
    task_pod.delete_found({**CONTEXT, "task_state_store": store})
    assert store == {}
    wait_until(lambda: not names(cluster, namespace), 60, "the end of the pod")


def test_a_task_that_is_stopped_before_it_has_found_its_pod_deletes_it(
    connection, start, cluster, namespace
):
    start("of-before", SLEEP, "Running")
    task = MeltanoPodOperator(
        task_id="a_task",
        prepare=lambda _: PreparedRun(("meltano", "run"), {}),
        template=lambda: TEMPLATE,
        pod_name="a-pod",
        pod_operator_arguments=connection,
    )
    task.on_kill()
    with pytest.raises(AirflowException, match="Meltano was stopped"):
        task.execute(CONTEXT)
    wait_until(lambda: not names(cluster, namespace), 60, "the end of the pod")
