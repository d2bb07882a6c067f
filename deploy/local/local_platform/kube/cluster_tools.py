"""The programs that make a Kubernetes on this machine: kind, k3d and minikube.

When they create a cluster, they write its kubeconfig to the file that KUBECONFIG names, with its
context as the current one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from local_platform.console import LocalError
from local_platform.subprocesses import run_command


@dataclass(frozen=True)
class ClusterTool:
    """A program that makes a Kubernetes. In its commands, `{}` is the name of the cluster.

    Attributes:
        program: The program on the PATH.
        cluster: How kube-up names a cluster; `{}` is different in each checkout.
        context: A pattern of the contexts of its clusters; the group is the cluster's name.
        create: Creates a cluster.
        resume: Starts a cluster that was created before, if it is stopped.
        delete: Deletes a cluster.
        load: Loads an image of this machine into a cluster; the name of the image follows.
    """

    program: str
    cluster: str
    context: str
    create: str
    resume: str
    delete: str
    load: str

    def name(self, checkout: Path) -> str:
        """Return the name of the cluster that kube-up makes for a checkout."""
        return self.cluster.format(hashlib.sha256(str(checkout).encode()).hexdigest()[:8])

    def run(self, command: str, cluster: str, kubeconfig: Path) -> None:
        """Run one of the commands for a cluster.

        Raises:
            LocalError: The command failed.
        """
        run_command(
            *command.format(cluster).split(),
            waiting=lambda _: self.program,
            environ=os.environ | {"KUBECONFIG": str(kubeconfig)},
        )


CLUSTER_TOOLS = (
    ClusterTool(
        program="kind",
        cluster="meltano-{}",
        context=r"kind-(.+)",
        create="kind create cluster --wait=3m --name {}",
        resume="docker start {}-control-plane",
        delete="kind delete cluster --name {}",
        load="kind load docker-image --name {}",
    ),
    ClusterTool(
        program="k3d",
        cluster="meltano-{}",
        context=r"k3d-(.+)",
        create="k3d cluster create --wait {}",
        resume="k3d cluster start --wait {}",
        delete="k3d cluster delete {}",
        load="k3d image import --cluster {}",
    ),
    ClusterTool(
        program="minikube",
        cluster="minikube-meltano-{}",
        context=r"(minikube.*)",
        create="minikube start --profile {}",
        resume="minikube start --profile {}",
        delete="minikube delete --profile {}",
        load="minikube image load --profile {}",
    ),
)
"""The programs, in the order in which kube-up looks for them."""


def cluster_tool(program: str | None = None) -> ClusterTool:
    """Return one of the programs: the given one, or the first that is installed.

    Raises:
        LocalError: None of them is installed.
    """
    for tool in CLUSTER_TOOLS:
        if program == tool.program or (not program and shutil.which(tool.program)):
            return tool
    raise LocalError(
        "no Kubernetes: set KUBECONFIG to the kubeconfig of a cluster, or install kind "
        "(https://kind.sigs.k8s.io), k3d or minikube, with which kube-up makes one; "
        "both need kubectl"
    )


def image_loader(context: str) -> list[str] | None:
    """Return the command that loads an image into the cluster of a context, if it is known."""
    for tool in CLUSTER_TOOLS:
        if named := re.fullmatch(tool.context, context):
            return tool.load.format(named[1]).split()
    return None
