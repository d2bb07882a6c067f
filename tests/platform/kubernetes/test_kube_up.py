"""`make kube-up` shows the same as `make up`, with tasks in pods."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_platform.airflow_server import LocalAirflow
from local_platform.console import LocalError
from local_platform.kube.cluster import DEFAULT_CLASS
from local_platform.kube.image import image_tag

from tests.support.cluster import Cluster
from tests.support.interruptions import interrupt
from tests.support.running import copy_checkout, finished, free_port, wait_until

# A part of the output that begins a step, and how it is interrupted then.
POINTS = (
    ("Kubernetes answers", signal.SIGKILL),
    ("waiting for the image to be built", signal.SIGINT),
    ("Creating Meltano's system database", signal.SIGKILL),
    ("waiting for api-server", signal.SIGINT),
    ("DAGs, one per job of", signal.SIGKILL),
    # A scheduled run may have ended before.
    ("run of reference_data|reference_data (has run before|ran)", signal.SIGINT),
)
USER = 10001  # of the image, see images/meltano/Dockerfile


@dataclass(frozen=True)
class KubeUp:
    """A checkout with a namespace of its own."""

    checkout: Path
    cluster: Cluster
    namespace: str

    @property
    def airflow(self) -> LocalAirflow:
        return LocalAirflow(self.checkout, ".local-kube", self.cluster.host)

    port: int

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": self.cluster.kubeconfig}

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run what `make COMMAND` runs."""
        return subprocess.run(
            [sys.executable, "-m", "local_platform", command, *options],
            cwd=self.checkout,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def up_options(self) -> tuple[str, ...]:
        return "kube-up", f"--port={self.port}", f"--namespace={self.namespace}"

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run(*self.up_options)

    def is_there(self, *words: str) -> bool:
        return bool(self.cluster.kubectl("get", *words, "--ignore-not-found"))


@pytest.fixture
def kube_up(cluster: Cluster, tmp_path: Path) -> Iterator[KubeUp]:
    try:
        _ = cluster.image_loader
    except LocalError as error:
        pytest.skip(str(error))
    checkout = copy_checkout(tmp_path / "checkout")
    namespace = f"test-{secrets.token_hex(4)}"
    running = KubeUp(checkout, cluster, namespace, free_port(cluster.host))
    with default_storage_class(cluster, tmp_path / "volume"):
        yield running
        down = running.run("kube-down")
        assert down.returncode == 0, down.stdout + down.stderr


@contextmanager
def default_storage_class(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Give a cluster of this machine that provides no volumes one in a folder, by default."""
    if cluster.has_default_storage_class():
        yield
        return
    cluster.check_is_here()
    folder.mkdir()
    os.chown(folder, USER, USER)
    name = f"test-{secrets.token_hex(4)}"
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": str(folder), "type": "Directory"},
            "storageClassName": name,
        },
    }
    for each in (storage_class, volume):
        cluster.apply(each)
    try:
        yield
    finally:
        for kind in ("storageclass", "pv"):
            cluster.kubectl("delete", kind, name, "--wait=false")


@pytest.mark.faults
@pytest.mark.timeout(1200)
# Airflow's components are stopped by pid.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_interrupted_at_each_step_it_runs_the_same_dags_in_pods_until_kube_down(kube_up):
    argv = [sys.executable, "-m", "local_platform", *kube_up.up_options]
    has_image = kube_up.cluster.has_image(image_tag(kube_up.checkout))
    for point, how in POINTS:
        if has_image and "image" in point:
            continue
        interrupt(argv, point, how, kube_up.checkout, kube_up.environ)
    up = kube_up.up()
    assert up.returncode == 0, up.stdout + up.stderr
    assert re.search("reference_data (ran to success|has run before)", up.stdout)
    assert "in the pod reference-data-tap-spreadsheets-to-target-warehouse-" in up.stdout
    assert "tap_spreadsheets.time_zones │   312" in up.stdout
    assert "with plain HTTP; whoever reaches that can try to log in" in up.stdout
    assert not (kube_up.checkout / "meltano/.env").exists()

    family = kube_up.airflow.processes()
    assert addresses(family.values()) == {kube_up.cluster.host}
    assert history_is_loaded(kube_up.airflow) == "success"

    [tag] = re.findall(r"Building the image (\S+),|The cluster has the image (\S+)", up.stdout)
    tag = "".join(tag)
    wait_until(lambda: kube_up.cluster.has_image(tag), 120, "the node's list of images")
    again = kube_up.up()
    assert again.returncode == 0, again.stdout + again.stderr
    for words in (f"The cluster has the image {tag}", "Airflow is running", "has run before"):
        assert words in again.stdout
    assert "tap_airflow.dag_runs" in again.stdout
    assert kube_up.airflow.processes() == family

    down = kube_up.run("kube-down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert not [process for process in family.values() if process.is_running()]
    assert not kube_up.is_there("namespace", kube_up.namespace)
    assert not (kube_up.checkout / ".local-kube").exists()
    assert kube_up.cluster.answers()


def addresses(processes):
    family = [each for one in processes for each in (one, *one.children(recursive=True))]
    connections = [each for process in family for each in process.net_connections()]
    return {each.laddr.ip for each in connections if each.status == "LISTEN"}


def history_is_loaded(airflow):
    """Have a pod read the REST API of this machine; return the state of the run."""
    with airflow.api() as api:
        started = api.post("dags/airflow_history/dagRuns", json={"logical_date": None})
        run = f"dags/airflow_history/dagRuns/{started.raise_for_status().json()['dag_run_id']}"
        return wait_until(lambda: finished(api, run), 180, "airflow_history")


def test_a_namespace_of_somebody_else_is_left_alone(kube_up, namespace):
    up = kube_up.run("kube-up", f"--namespace={namespace}")
    assert up.returncode == 1
    assert up.stdout.splitlines()[-1] == (
        f"make kube-up: the namespace {namespace} exists and was not made by kube-up; "
        "choose another: make kube-up NAMESPACE=..."
    )
    assert kube_up.run("kube-down").returncode == 0
    assert kube_up.is_there("namespace", namespace)
