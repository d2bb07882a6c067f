"""A real Kubernetes for a run of tests: that of `KUBECONFIG`, or the one of `../shared/kube`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil
import yaml
from running import CHECKOUT, wait_until

TOOLS = CHECKOUT.parent / "shared/kube"
_STATE = Path(tempfile.gettempdir()) / "kubetest"
_PROGRAMS = ("containerd", "runc", "etcd", "buildah", "iptables", "conntrack", "kubectl")
_IMAGE = "TEST_MELTANO_IMAGE"


@dataclass(frozen=True)
class Cluster:
    """A cluster, and how to reach it.

    Attributes:
        kubeconfig: That of its administrator.
        is_ours: Whether the tests started it, may kill its parts, and load images into it.
    """

    kubeconfig: Path
    is_ours: bool
    _images: dict[str, str] = field(default_factory=dict)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl, and return what it prints."""
        return subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *words],
            input=stdin,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    @property
    def host(self) -> str:
        """The address of this machine at which its pods reach a server."""
        path = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
        node = self.kubectl("get", "nodes", f"--output=jsonpath={path}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect((node, 9))
            return str(route.getsockname()[0])

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """Make a namespace that is gone at the end, with all that is in it."""
        name = f"test-{uuid4().hex[:8]}"
        self.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def image(self, project: str = "meltano", kind: str = "meltano") -> str:
        """Return an image of this checkout, built and loaded once a run; or skip the test."""
        import pytest  # noqa: PLC0415

        if not self.is_ours:
            if not (name := os.environ.get(_IMAGE)):
                pytest.skip(f"{_IMAGE} names no image of {project} that the cluster can pull")
            return name
        if (kind, project) not in self._images:
            name = f"localhost/{kind}-{project.replace('/', '-')}:test"
            environ = {**os.environ, "IMAGE_BUILDER": str(TOOLS / "build-image.sh")}
            for command in (
                [str(CHECKOUT / "images/build"), kind, name, project],
                [str(TOOLS / "load-image.sh"), name],
            ):
                done = subprocess.run(
                    command, env=environ, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
            self._images[kind, project] = name
        return self._images[kind, project]

    def launcher(self, namespace: str) -> Path:
        """Return the kubeconfig of a service account with the Roles of deploy/kubernetes alone."""
        account = "airflow"
        self.kubectl("-n", namespace, "create", "serviceaccount", account)
        objects = list(
            yaml.safe_load_all((CHECKOUT / "deploy/kubernetes/task-pods.yaml").read_text())
        )
        for each in objects:
            each["metadata"]["namespace"] = namespace
            for subject in each.get("subjects", ()):
                subject |= {"name": account, "namespace": namespace}
        self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))
        config = yaml.safe_load(self.kubeconfig.read_text())
        token = self.kubectl("-n", namespace, "create", "token", account, "--duration=6h").strip()
        config["users"] = [{"name": account, "user": {"token": token}}]
        for context in config["contexts"]:
            context["context"] |= {"user": account, "namespace": namespace}
        file = Path(tempfile.mkdtemp(prefix="launcher-")) / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        file.chmod(0o600)
        return file

    @contextmanager
    def without(self, component: str) -> Iterator[None]:
        """Kill a part of the cluster, and start it again at the end."""
        pid = int((_STATE / "pid" / f"{component}.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(pid), 30, f"the end of {component}")
        try:
            yield
        finally:
            _start()


def _start() -> Path:
    kubeconfig = _STATE / "kubeconfig"
    command = [TOOLS / "start-cluster.sh", "-k", kubeconfig]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return kubeconfig


@cache
def absent() -> str | None:
    """Return why there is no cluster to be had, or nothing."""
    if os.environ.get("KUBECONFIG"):
        command = ["kubectl", "--request-timeout=10s", "get", "nodes"]
        answers = shutil.which("kubectl") and not subprocess.call(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return None if answers else "the cluster of KUBECONFIG does not answer"
    if not TOOLS.is_dir():
        return "no cluster: set KUBECONFIG to that of one, such as kind or k3s"
    missing = [name for name in _PROGRAMS if not shutil.which(name)]
    if os.geteuid() or missing:
        return f"../shared/kube needs root, and {', '.join(missing) or 'nothing more'}"
    return None


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Give the cluster; one that was not running before is stopped at the end."""
    if os.environ.get("KUBECONFIG"):
        yield Cluster(Path(os.environ["KUBECONFIG"]), is_ours=False)
        return
    ran = (_STATE / "pid/kubelet.pid").exists()
    try:
        kubeconfig = _start()
        subprocess.run([TOOLS / "import-base.sh"], check=True, capture_output=True)
        yield Cluster(kubeconfig, is_ours=True)
    finally:
        if not ran:
            subprocess.run([TOOLS / "stop-cluster.sh"], check=True, capture_output=True)
