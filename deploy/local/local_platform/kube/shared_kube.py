"""The small Kubernetes that `../shared/kube`, next to the checkout, runs as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from local_platform.subprocesses import run_command

STATE = Path(tempfile.gettempdir()) / "kubetest"
"""The folder in which the cluster keeps its files."""
ADMIN_KUBECONFIG = STATE / "conf/admin.kubeconfig"
_TOOLS = ("kubectl", "buildah", "containerd", "runc", "etcd", "iptables", "openssl", "ip")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
# The bridge of its pods, and 0a:58 with the bridge's IP address: how CNI makes such addresses.
_BRIDGE, _BRIDGE_MAC = "kubr0", "0a:58:0a:f4:00:01"


@dataclass(frozen=True)
class SharedKube:
    """The scripts of `../shared/kube`.

    Attributes:
        folder: The folder of the scripts.
    """

    folder: Path

    def missing(self) -> str | None:
        """Return what to do before the scripts can run."""
        if not self.folder.is_dir():
            return "put the scripts that start one at ../shared/kube"
        if os.geteuid():
            return "run as root, so that ../shared/kube can start one"
        if absent := [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]:
            return f"install what ../shared/kube/README.md names; missing: {', '.join(absent)}"
        return None

    @property
    def is_stopped(self) -> bool:
        """Whether no process of the cluster is running."""
        pids = [file.read_text().strip() for file in (STATE / "pid").glob("*.pid")]
        return not any(psutil.pid_exists(int(pid)) for pid in pids if pid)

    def start(self) -> None:
        """Start the processes of the cluster that are not running.

        The bridge gets a fixed address. Otherwise it takes the lowest one of its ports, and running
        pods cannot reach this machine for a minute whenever another pod comes or goes.
        """
        run_command(self.folder / "start-cluster.sh")
        run_command("ip", "link", "set", "dev", _BRIDGE, "address", _BRIDGE_MAC, PATH=_PATH)

    def stop(self) -> None:
        """Stop the cluster; its objects are there again after the next start."""
        run_command(self.folder / "stop-cluster.sh")

    @property
    def image_loader(self) -> Path:
        """The command that loads an image of this machine into the cluster."""
        return self.folder / "load-image.sh"

    def image_builder(self) -> Path:
        """Return the command that builds images, after importing the base image."""
        run_command(self.folder / "import-base.sh")
        return self.folder / "build-image.sh"

    def owns(self, kubeconfig: str) -> bool:
        """Return whether a kubeconfig is of this cluster."""
        files = (kubeconfig, str(ADMIN_KUBECONFIG))
        if not all(os.access(file, os.R_OK) for file in files) or self.missing():
            return False
        given, own = (_authorities(yaml.safe_load(Path(file).read_text())) for file in files)
        return given == own


def _authorities(kubeconfig: dict[str, Any]) -> list[Any]:
    return [each["cluster"].get("certificate-authority-data") for each in kubeconfig["clusters"]]
