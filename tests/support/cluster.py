"""A real Kubernetes for tests: the cluster of KUBECONFIG, or a small one on this machine."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from local_platform.console import LocalError
from local_platform.kube.cluster import KubeCluster, find_cluster, shared_kube
from local_platform.kube.shared_kube import STATE

from tests.support.running import CHECKOUT, wait_until


class Cluster(KubeCluster):
    """A cluster in which tests create namespaces."""

    @contextmanager
    def new_namespace(self) -> Iterator[str]:
        """A namespace with a name of its own, until the end of the block."""
        name = f"test-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        try:
            account = ("get", "serviceaccount", "default", "-n", name)
            wait_until(lambda: not self.try_kubectl(*account).returncode, 60, "a ServiceAccount")
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    @contextmanager
    def without(self, component: str) -> Iterator[None]:
        """Kill a part of the cluster, and start it again at the end of the block."""
        if not self.is_ours:
            pytest.skip(f"the {component} of this cluster cannot be killed from here")
        process = psutil.Process(int((STATE / f"pid/{component}.pid").read_text()))
        process.kill()
        wait_until(lambda: not process.is_running(), 30, f"the end of {component}")
        try:
            yield
        finally:
            self.shared.start()

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


@pytest.fixture(scope="session")
def image_builder(platform_process: None) -> str:
    """The command for `IMAGE_BUILDER`, with the base image imported."""
    shared = shared_kube(CHECKOUT)
    if advice := shared.missing():
        pytest.skip(f"no builder of images: {advice}")
    return str(shared.image_builder())


@pytest.fixture(scope="session")
def cluster(platform_process: None) -> Iterator[Cluster]:
    """A real Kubernetes, as it was found or started for this run of the tests."""
    try:
        found = find_cluster(CHECKOUT)
    except LocalError as error:
        pytest.skip(str(error))
    must_stop = found.is_ours and found.shared.is_stopped
    if found.is_ours:
        found.shared.start()
    try:
        yield Cluster(found.checkout, found.kubeconfig, found.is_ours)
    finally:
        if must_stop:
            found.shared.stop()


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for the tests of one module."""
    with cluster.new_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def meltano_image(cluster: Cluster) -> str:
    """`images/meltano` of this checkout."""
    return cluster.image("meltano")
