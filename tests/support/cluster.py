"""A real Kubernetes for tests: the cluster of KUBECONFIG, or a small one on this machine.

`../shared/kube`, beside the checkout, starts one where there is none, for root. Nothing else is
taken for a cluster for tests: the kubeconfig in somebody's home may be that of production.
"""

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from running import CHECKOUT, wait_until

KUBE = CHECKOUT.parent / "shared/kube"
_ADMIN = Path(tempfile.gettempdir()) / "kubetest/conf/admin.kubeconfig"
_PIDS = Path(tempfile.gettempdir()) / "kubetest/pid"
_TOOLS = ("kubectl", "buildah", "containerd", "runc", "etcd", "iptables", "openssl", "ip")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Cluster:
    """A cluster that we administer.

    Attributes:
        kubeconfig: Of its administrator.
        is_ours: Whether it is that of `../shared/kube`, which takes images that are built here.
    """

    kubeconfig: str
    is_ours: bool

    def try_kubectl(self, *argv: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, with a manifest for `-f -`."""
        return subprocess.run(
            ["kubectl", *argv],
            env=os.environ | {"KUBECONFIG": self.kubeconfig},
            input=json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
        )

    def kubectl(self, *argv: str, stdin: Any = None) -> str:
        """Return what kubectl prints; it has to succeed."""
        done = self.try_kubectl(*argv, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(argv)}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """Return an object."""
        return json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

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

    @property
    def host(self) -> str:
        """The address of this machine at which the cluster's pods reach a server."""
        path = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
        node = self.kubectl("get", "nodes", f"--output=jsonpath={path}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect((node, 9))
            return str(route.getsockname()[0])

    def launcher(self, namespace: str, file: Path) -> Path:
        """Write the kubeconfig of an account of a namespace with the Roles of deploy/kubernetes."""
        account = "airflow"
        self.kubectl("-n", namespace, "create", "serviceaccount", account)
        roles = (CHECKOUT / "deploy/kubernetes/task-pods.yaml").read_text()
        for each in yaml.safe_load_all(roles):
            each["metadata"]["namespace"] = namespace
            for subject in each.get("subjects", ()):
                subject |= {"name": account, "namespace": namespace}
            self.kubectl("apply", "--filename=-", stdin=each)
        token = self.kubectl("-n", namespace, "create", "token", account, "--duration=6h").strip()
        config = yaml.safe_load(Path(self.kubeconfig).read_text())
        config["users"] = [{"name": account, "user": {"token": token}}]
        for context in config["contexts"]:
            context["context"] |= {"user": account, "namespace": namespace}
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
        return file

    @contextmanager
    def without(self, component: str) -> Iterator[None]:
        """Kill a part of the cluster, and start it again at the end of the block."""
        if not self.is_ours:
            pytest.skip(f"the {component} of this cluster is not ours to kill")
        process = psutil.Process(int((_PIDS / f"{component}.pid").read_text()))
        process.kill()
        wait_until(lambda: not process.is_running(), 30, f"the end of {component}")
        try:
            yield
        finally:
            _run(KUBE / "start-cluster.sh", "-k", self.kubeconfig)

    def image(self, name: str, project: str = "meltano", variable: str | None = None) -> str:
        """Build an image of this checkout, give it to the cluster, and return its name.

        Args:
            name: Of the folder in `images`.
            project: The folder of the Meltano project in it.
            variable: Which variable names one that the cluster can pull, to be taken instead;
                default: `TEST_MELTANO_IMAGE` or `TEST_AIRFLOW_IMAGE`.
        """
        variable = variable or f"TEST_{name.upper()}_IMAGE"
        if given := os.environ.get(variable):
            return given
        if not self.is_ours:
            pytest.skip(
                f"no image: build it with `images/build {name} TAG {project}`, push it to where "
                f"the cluster pulls from, and let {variable} name it"
            )
        which = hashlib.sha256(f"{CHECKOUT}:{project}".encode()).hexdigest()[:8]
        tag = f"localhost/meltano-dag-factory/{name}:test-{which}"
        _run(CHECKOUT / "images/build", name, tag, project, IMAGE_BUILDER=image_builder())
        _run(KUBE / "load-image.sh", tag)
        return tag


def image_builder() -> str:
    """Return the command for `IMAGE_BUILDER`, with the base image at hand; skip without it."""
    if reason := _missing():
        pytest.skip(f"no builder of images: {reason}")
    _run(KUBE / "import-base.sh")
    return str(KUBE / "build-image.sh")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Kubernetes, as it was found or started for this run of the tests."""
    named = os.environ.get("KUBECONFIG", "")
    if named and (found := Cluster(named, _is_ours(named))) and _answers(found):
        yield found
        return
    if reason := _missing():
        silent = "that of KUBECONFIG does not answer; " if named else ""
        pytest.skip(f"no Kubernetes: {silent}let KUBECONFIG name a cluster for tests, or {reason}")
    was_running = _answers(Cluster(str(_ADMIN), is_ours=True))
    started = Cluster(str(tmp_path_factory.mktemp("cluster") / "kubeconfig"), is_ours=True)
    _run(KUBE / "start-cluster.sh", "-k", started.kubeconfig)
    try:
        yield started
    finally:
        if not was_running:
            _run(KUBE / "stop-cluster.sh")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for the tests of one module."""
    with cluster.new_namespace() as name:
        yield name


@pytest.fixture(scope="session")
def meltano_image(cluster: Cluster) -> str:
    """`images/meltano` of this checkout."""
    return cluster.image("meltano")


def _missing() -> str | None:
    """Return what to do before `../shared/kube` can be used."""
    if not KUBE.is_dir():
        return f"put {KUBE.name}, which starts one, at ../shared/kube"
    if os.geteuid():
        return "run the tests as root, for ../shared/kube to start one"
    if absent := [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]:
        return f"install what ../shared/kube/README.md names; not there: {', '.join(absent)}"
    return None


def _answers(cluster: Cluster) -> bool:
    asked = ("get", "--raw", "/readyz", "--request-timeout=5s")
    return bool(shutil.which("kubectl")) and not cluster.try_kubectl(*asked).returncode


def _is_ours(kubeconfig: str) -> bool:
    """Return whether a kubeconfig is of the cluster that `../shared/kube` runs."""
    files = (kubeconfig, str(_ADMIN))
    if not all(os.access(file, os.R_OK) for file in files) or _missing():
        return False
    authorities = [_authority(yaml.safe_load(Path(file).read_text())) for file in files]
    return authorities[0] == authorities[1]


def _authority(kubeconfig: Mapping[str, Any]) -> Any:
    return [each["cluster"].get("certificate-authority-data") for each in kubeconfig["clusters"]]


def _run(script: Path, *argv: str, **environ: str) -> None:
    done = subprocess.run(
        [str(script), *argv],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script.name} {' '.join(argv)}: {done.stdout[-3000:]}"
