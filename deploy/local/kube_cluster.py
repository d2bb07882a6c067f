"""A Kubernetes to play and to test with: that of KUBECONFIG, or a small one on this machine.

`../shared/kube`, beside the checkout, starts one where there is none, for root. Nothing else is
taken: the kubeconfig in somebody's home may be that of production.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from airflow_server import LocalError

CHECKOUT = Path(__file__).resolve().parents[2]
KUBE = CHECKOUT.parent / "shared/kube"
STATE = Path(tempfile.gettempdir()) / "kubetest"
"""Where the cluster of `../shared/kube` keeps its files."""
_ADMIN = STATE / "conf/admin.kubeconfig"
_TOOLS = ("kubectl", "buildah", "containerd", "runc", "etcd", "iptables", "openssl", "ip")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
# The bridge of its pods; 0a:58 and its IP address, as CNI makes such addresses.
_BRIDGE, _ADDRESS = "kubr0", "0a:58:0a:f4:00:01"
_ACCOUNT = "airflow"
_TOKEN_HOURS = 720
# Who gives an image to a cluster, by what the names of its contexts begin with.
_LOADERS = {
    "kind-": "kind load docker-image --name",
    "k3d-": "k3d image import --cluster",
}


@dataclass(frozen=True)
class KubeCluster:
    """A cluster that we administer.

    Attributes:
        kubeconfig: Of its administrator, as KUBECONFIG has it.
        is_ours: Whether it is that of `../shared/kube`, on this machine.
    """

    kubeconfig: str
    is_ours: bool

    def try_kubectl(self, *argv: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, with a manifest for `-f -`."""
        return subprocess.run(
            ["kubectl", *argv],  # noqa: S607 - wherever it is installed
            env=os.environ | {"KUBECONFIG": self.kubeconfig},
            input=json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
        )

    def kubectl(self, *argv: str, stdin: Any = None) -> str:
        """Return what kubectl prints.

        Raises:
            LocalError: It did not succeed.
        """
        done = self.try_kubectl(*argv, stdin=stdin)
        if done.returncode:
            raise LocalError(f"`kubectl {' '.join(argv)}` failed: {done.stderr.strip()}")
        return done.stdout

    def apply(self, manifest: dict[str, Any]) -> None:
        """Make an object, or change it."""
        self.kubectl("apply", "--filename=-", stdin=manifest)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """Return an object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json")))

    def answers(self) -> bool:
        """Return whether a Kubernetes API server answers there, and is ready.

        Without a context kubectl asks localhost:8080, where something else may answer.
        """
        if not shutil.which("kubectl") or self.try_kubectl("config", "view", "--minify").returncode:
            return False
        version, ready = (
            self.try_kubectl("get", "--raw", path, "--request-timeout=5s")
            for path in ("/version", "/readyz")
        )
        return '"gitVersion"' in version.stdout and not ready.returncode

    @property
    def is_stopped(self) -> bool:
        """Whether nothing runs of the cluster of `../shared/kube`."""
        pids = [file.read_text().strip() for file in (STATE / "pid").glob("*.pid")]
        return not any(psutil.pid_exists(int(pid)) for pid in pids if pid)

    def start(self) -> None:
        """Start what does not run of the cluster of `../shared/kube`, if anything.

        A bridge takes the lowest address of its ports, unless it is given one: pods that run would
        not reach this machine for a minute when another comes or goes.
        """
        run(KUBE / "start-cluster.sh")
        run("ip", "link", "set", "dev", _BRIDGE, "address", _ADDRESS, PATH=_PATH)

    def stop(self) -> None:
        """Stop the cluster of `../shared/kube`; what was in it comes back with it."""
        run(KUBE / "stop-cluster.sh")

    @property
    def host(self) -> str:
        """The address of this machine at which the cluster's pods reach a server."""
        path = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
        node = self.kubectl("get", "nodes", f"--output=jsonpath={path}").split()[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect((node, 9))
            return str(route.getsockname()[0])

    def launcher(self, namespace: str, file: Path) -> Path:
        """Write the kubeconfig of an account of a namespace with the Roles of deploy/kubernetes.

        Its token is good for a month, where the cluster allows that.
        """
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT}}
        roles = (CHECKOUT / "deploy/kubernetes/task-pods.yaml").read_text()
        for each in (account, *yaml.safe_load_all(roles)):
            each["metadata"]["namespace"] = namespace
            for subject in each.get("subjects", ()):
                subject |= {"name": _ACCOUNT, "namespace": namespace}
            self.apply(each)
        duration = f"--duration={_TOKEN_HOURS}h"
        token = self.kubectl("-n", namespace, "create", "token", _ACCOUNT, duration).strip()
        config = yaml.safe_load(self.kubectl("config", "view", "--raw", "--minify", "--flatten"))
        config["users"] = [{"name": _ACCOUNT, "user": {"token": token}}]
        for context in config["contexts"]:
            context["context"] |= {"user": _ACCOUNT, "namespace": namespace}
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
        return file

    def has_image(self, tag: str) -> bool:
        """Return whether all nodes hold an image, as far as they tell: the 50 largest."""
        nodes = json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]
        held = [
            {name for image in node["status"].get("images", ()) for name in image["names"] or ()}
            for node in nodes
        ]
        return all(tag in names for names in held)

    @property
    def image_loader(self) -> list[str]:
        """The command that gives the cluster an image of this machine, without the image.

        Raises:
            LocalError: None is known.
        """
        if given := os.environ.get("LOAD_IMAGE"):
            return shlex.split(given)
        if self.is_ours:
            return [str(KUBE / "load-image.sh")]
        context = self.kubectl("config", "current-context").strip()
        for begin, command in _LOADERS.items():
            if context.startswith(begin):
                return [*command.split(), context.removeprefix(begin)]
        raise LocalError(
            f"nothing here gives images to the cluster of the context {context}: let LOAD_IMAGE "
            "name a command that does, such as `minikube image load`"
        )

    def build_image(
        self, name: str, tag: str, project: str = "meltano", checkout: Path = CHECKOUT
    ) -> None:
        """Build an image of a checkout, and give it to the cluster.

        Args:
            name: Of the folder in `images`.
            tag: The whole name of the image.
            project: The folder of the Meltano project in it.
            checkout: This one by default.

        Raises:
            LocalError: It cannot be built, or the cluster does not take it.
        """
        load = self.image_loader
        builder = {"IMAGE_BUILDER": own_builder()} if self.is_ours else {}
        run(checkout / "images/build", name, tag, project, **(builder | _given("IMAGE_BUILDER")))
        run(*load, tag)


def find_cluster() -> KubeCluster:
    """Return the cluster of KUBECONFIG, or else that of `../shared/kube`, which may not run.

    Raises:
        LocalError: There is neither.
    """
    named = os.environ.get("KUBECONFIG", "")
    if named and (found := KubeCluster(named, _is_ours(named))).answers():
        return found
    if reason := missing():
        why = "does not answer" if shutil.which("kubectl") else "cannot be asked without kubectl"
        silent = f"that of KUBECONFIG {why}; " if named else ""
        raise LocalError(f"no Kubernetes: {silent}let KUBECONFIG name a cluster, or {reason}")
    return KubeCluster(str(_ADMIN), is_ours=True)


def missing() -> str | None:
    """Return what to do before `../shared/kube` can be used."""
    if not KUBE.is_dir():
        return f"put {KUBE.name}, which starts one, at ../shared/kube"
    if os.geteuid():
        return "be root, for ../shared/kube to start one"
    if absent := [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]:
        return f"install what ../shared/kube/README.md names; not there: {', '.join(absent)}"
    return None


def own_builder() -> str:
    """Return the command of `../shared/kube` that builds images, with the base image at hand."""
    run(KUBE / "import-base.sh")
    return str(KUBE / "build-image.sh")


def run(command: str | Path, *argv: str, **environ: str) -> None:
    """Run a command.

    Raises:
        LocalError: It is not there, or did not succeed.
    """
    try:
        done = subprocess.run(
            [str(command), *argv],
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise LocalError(f"there is no command {command}: install it") from None
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-5:])
        raise LocalError(
            f"`{Path(command).name} {' '.join(argv)}` failed; it printed last:\n{last}"
        )


def _given(name: str) -> dict[str, str]:
    return {name: os.environ[name]} if os.environ.get(name) else {}


def _is_ours(kubeconfig: str) -> bool:
    """Return whether a kubeconfig is of the cluster that `../shared/kube` runs."""
    files = (kubeconfig, str(_ADMIN))
    if not all(os.access(file, os.R_OK) for file in files) or missing():
        return False
    authorities = [_authority(yaml.safe_load(Path(file).read_text())) for file in files]
    return bool(authorities[0] == authorities[1])


def _authority(kubeconfig: dict[str, Any]) -> list[Any]:
    return [each["cluster"].get("certificate-authority-data") for each in kubeconfig["clusters"]]
