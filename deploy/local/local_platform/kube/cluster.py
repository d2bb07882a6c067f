"""A Kubernetes for development and tests, with the rights of its administrator."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_platform.console import LocalError
from local_platform.kube.cluster_tools import image_loader
from local_platform.subprocesses import run_command

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
"""The annotation of the default StorageClass; it is `true`."""
_SERVICE_ACCOUNT = "airflow"
_TOKEN_HOURS = 720


@dataclass(frozen=True)
class KubeCluster:
    """A cluster, with the rights of its administrator.

    Attributes:
        checkout: The checkout that uses it.
        kubeconfig: The kubeconfig of the administrator, as in KUBECONFIG.
    """

    checkout: Path
    kubeconfig: str

    def try_kubectl(self, *argv: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, with a manifest for `--filename=-`."""
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
            LocalError: kubectl failed.
        """
        done = self.try_kubectl(*argv, stdin=stdin)
        if done.returncode:
            raise LocalError(f"`kubectl {' '.join(argv)}` failed: {done.stderr.strip()}")
        return done.stdout

    def apply(self, manifest: dict[str, Any]) -> None:
        """Create an object, or change it."""
        self.kubectl("apply", "--filename=-", stdin=manifest)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """Return an object."""
        return dict(json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json")))

    def answers(self) -> bool:
        """Return whether a Kubernetes API server answers and is ready.

        Without a context, kubectl calls localhost:8080, where another server may answer.
        """
        if not shutil.which("kubectl") or self.try_kubectl("config", "view", "--minify").returncode:
            return False
        version, ready = (
            self.try_kubectl("get", "--raw", path, "--request-timeout=5s")
            for path in ("/version", "/readyz")
        )
        return '"gitVersion"' in version.stdout and not ready.returncode

    def is_complete(self) -> bool:
        """Return whether it answers, has a node that is ready, and provides volumes."""
        try:
            ready = " Ready " in self.kubectl("get", "nodes", "--no-headers")
            return ready and self.has_default_storage_class()
        except LocalError:
            return False

    def has_default_storage_class(self) -> bool:
        """Return whether it provides a volume to a claim that names no StorageClass."""
        classes = json.loads(self.kubectl("get", "storageclasses", "--output=json"))["items"]
        annotations = [each["metadata"].get("annotations", {}) for each in classes]
        return any(each.get(DEFAULT_CLASS) == "true" for each in annotations)

    @property
    def host(self) -> str:
        """The address of this machine at which the cluster's pods reach a server."""
        path = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
        node = self.kubectl("get", "nodes", f"--output=jsonpath={path}").split()[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect((node, 9))
            return str(route.getsockname()[0])

    def launcher(self, namespace: str, file: Path) -> Path:
        """Write the kubeconfig of a ServiceAccount that has the Roles of deploy/kubernetes.

        Its token is valid for a month, where the cluster allows that.
        """
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _SERVICE_ACCOUNT},
        }
        roles = (self.checkout / "deploy/kubernetes/task-pods.yaml").read_text()
        for each in (account, *yaml.safe_load_all(roles)):
            each["metadata"]["namespace"] = namespace
            for subject in each.get("subjects", ()):
                subject |= {"name": _SERVICE_ACCOUNT, "namespace": namespace}
            self.apply(each)
        create = ("create", "token", _SERVICE_ACCOUNT, f"--duration={_TOKEN_HOURS}h")
        token = self.kubectl("-n", namespace, *create).strip()
        config = yaml.safe_load(self.kubectl("config", "view", "--raw", "--minify", "--flatten"))
        config["users"] = [{"name": _SERVICE_ACCOUNT, "user": {"token": token}}]
        for context in config["contexts"]:
            context["context"] |= {"user": _SERVICE_ACCOUNT, "namespace": namespace}
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
        return file

    def has_image(self, tag: str) -> bool:
        """Return whether all nodes report that they hold an image; they report the 50 largest."""
        nodes = json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]
        held = [
            {name for image in node["status"].get("images", ()) for name in image["names"] or ()}
            for node in nodes
        ]
        return all(tag in names for names in held)

    @property
    def image_loader(self) -> list[str]:
        """The command, without the image's name, that loads an image into the cluster.

        Raises:
            LocalError: The command is not known.
        """
        if given := os.environ.get("LOAD_IMAGE"):
            return shlex.split(given)
        context = self.kubectl("config", "current-context").strip()
        if known := image_loader(context):
            return known
        raise LocalError(
            f"cannot load images into the cluster of the context {context}, which is not named as "
            "by kind, k3d or minikube; set LOAD_IMAGE to a command that loads an image into it"
        )

    def build_image(self, checkout: Path, name: str, tag: str, project: str = "meltano") -> None:
        """Build an image and load it into the cluster.

        Args:
            checkout: The checkout to build it from.
            name: The folder in `images`.
            tag: The full name of the image.
            project: The folder of the Meltano project in the checkout.

        Raises:
            LocalError: The image cannot be built or loaded.
        """
        load = self.image_loader
        build = (str(checkout / "images/build"), name, tag, project)
        run_command(*build, waiting=lambda _: "the image to be built")
        run_command(*load, tag, waiting=lambda _: "the image to be loaded into the cluster")
