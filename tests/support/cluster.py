"""A real Kubernetes for tests: the cluster of KUBECONFIG, or that of TEST_CLUSTER_START."""

import hashlib
import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import yaml
from local_platform.console import LocalError
from local_platform.kube.cluster import KubeCluster

from tests.support.running import CHECKOUT, wait_until


@dataclass(frozen=True)
class Cluster(KubeCluster):
    """A cluster in which tests create namespaces.

    Attributes:
        start: The command that starts it on this machine, and again what of it was killed.
    """

    start: tuple[str, ...] = ()

    @contextmanager
    def new_namespace(self, **labels: str) -> Iterator[str]:
        """A namespace with a name of its own, until the end of the block."""
        name = f"test-{secrets.token_hex(4)}"
        metadata = {"name": name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        try:
            account = ("get", "serviceaccount", "default", "-n", name)
            wait_until(lambda: not self.try_kubectl(*account).returncode, 60, "a ServiceAccount")
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def check_is_here(self) -> None:
        """Skip the test unless its processes, and the images for it, are of this machine."""
        if not self.start:
            pytest.skip("needs a cluster of this machine: set TEST_CLUSTER_START")

    @contextmanager
    def without(self, component: str) -> Iterator[None]:
        """Kill a process of the cluster, and start it again at the end of the block.

        Args:
            component: `kube-apiserver` or `kubelet`.
        """
        self.check_is_here()
        process = _listener(component, self._port_of(component))
        process.kill()
        wait_until(lambda: not process.is_running(), 30, f"the end of {component}")
        try:
            yield
        finally:
            subprocess.run(self.start, check=True, capture_output=True)

    def _port_of(self, component: str) -> int:
        if component == "kubelet":
            path = "{.items[0].status.daemonEndpoints.kubeletEndpoint.Port}"
            return int(self.kubectl("get", "nodes", f"--output=jsonpath={path}"))
        config = yaml.safe_load(self.kubectl("config", "view", "--minify"))
        return int(urlsplit(config["clusters"][0]["cluster"]["server"]).port or 443)

    def image(
        self,
        name: str,
        project: str = "meltano",
        variable: str | None = None,
        checkout: Path = CHECKOUT,
    ) -> str:
        """Build an image of a checkout, load it into the cluster, and return its name.

        Args:
            name: The folder in `images`.
            project: The folder of the Meltano project in it.
            variable: The environment variable that may name an image for the cluster to pull
                instead; by default `TEST_MELTANO_IMAGE` or `TEST_AIRFLOW_IMAGE`.
            checkout: The checkout to build from.
        """
        variable = variable or f"TEST_{name.upper()}_IMAGE"
        if given := os.environ.get(variable):
            return given
        try:
            _ = self.image_loader
        except LocalError as error:
            pytest.skip(
                f"no image: {error}; or build it with `images/build {name} TAG {project}`, push it "
                f"to the cluster's registry, and set {variable} to its name"
            )
        which = hashlib.sha256(f"{CHECKOUT}:{project}".encode()).hexdigest()[:8]
        tag = f"localhost/meltano-dag-factory/{name}:test-{which}"
        self.build_image(checkout, name, tag, project)
        return tag


def _listener(name: str, port: int) -> psutil.Process:
    """Return the process of this machine with a name that listens on a port, or skip the test."""
    listening = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
    }
    for process in map(psutil.Process, listening):
        if process.name().startswith(name[:15]):
            return process
    pytest.skip(f"needs a cluster whose {name} is a process of this machine")


@pytest.fixture(scope="session")
def cluster(cluster_process: None, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A real Kubernetes: that of KUBECONFIG, or the one that TEST_CLUSTER_START starts."""
    if kubeconfig := os.environ.get("KUBECONFIG"):
        given = Cluster(CHECKOUT, kubeconfig)
        assert given.answers(), f"the cluster of KUBECONFIG={kubeconfig} does not answer; start it"
        return given
    start = tuple(shlex.split(os.environ.get("TEST_CLUSTER_START", "")))
    if not start:
        pytest.skip("no Kubernetes: set KUBECONFIG or TEST_CLUSTER_START, see CONTRIBUTING.md")
    started = subprocess.run(start, check=True, stdout=subprocess.PIPE, text=True)
    file = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    file.write_text(started.stdout)
    found = Cluster(CHECKOUT, str(file), start)
    assert found.answers(), f"{start[0]} printed a kubeconfig whose cluster does not answer"
    return found


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for the tests of one module."""
    with cluster.new_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def meltano_image(cluster: Cluster) -> str:
    """`images/meltano` of this checkout."""
    return cluster.image("meltano")
