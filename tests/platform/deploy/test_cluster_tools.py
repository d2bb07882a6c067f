"""`make kube-up` without KUBECONFIG makes a cluster with kind, k3d or minikube.

The three are stand-ins here, and so is kubectl: they write down how they are called. A cluster
answers as soon as its program has written its kubeconfig.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_platform.kube.cluster_tools import CLUSTER_TOOLS, ClusterTool, image_loader

from tests.support.running import copy_checkout

PROGRAM = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$(basename "$0") $*" >>{calls}
case "$*" in
*delete*) rm -f "$KUBECONFIG" ;;
*create*|*start*|*export*) [ ! -e {broken} ] || exit 1; echo a cluster >"$KUBECONFIG" ;;
esac
"""
KUBECTL = """#!/bin/sh
[ -s "$KUBECONFIG" ] || exit 1
case "$*" in
*/version*) echo '{{"gitVersion": "v1.34.0"}}' ;;
*nodes*--output=name*) echo node/node1 ;;
*storageclasses*) echo '{{"items": []}}' ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A checkout, and the programs of a machine."""

    checkout: Path
    folder: Path
    broken: Path
    calls_file: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run what `make COMMAND` runs; forget the calls before."""
        self.calls_file.write_text("")
        return subprocess.run(
            [sys.executable, "-m", "local_platform", command],
            cwd=self.checkout,
            env={"PATH": str(self.folder), "HOME": str(self.checkout)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()

    @property
    def kubeconfig(self) -> Path:
        return self.checkout / ".local-kube/cluster.kubeconfig"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """Return a machine with some programs, and kubectl."""

    def make(*programs: str, kubectl: bool = True) -> Machine:
        found = Machine(
            copy_checkout(tmp_path / "checkout"),
            tmp_path / "bin",
            tmp_path / "broken",
            tmp_path / "calls",
        )
        found.folder.mkdir()
        texts = dict.fromkeys(programs, PROGRAM) | ({"kubectl": KUBECTL} if kubectl else {})
        for name, text in texts.items():
            file = found.folder / name
            file.write_text(text.format(calls=found.calls_file, broken=found.broken))
            file.chmod(0o755)
        return found

    return make


@pytest.mark.parametrize("tool", CLUSTER_TOOLS, ids=lambda tool: tool.program)
def test_a_cluster_is_created_once_resumed_and_deleted(machine, tool: ClusterTool):
    here = machine(tool.program)
    name = tool.name(here.checkout)
    up = here.run("kube-up")
    assert f"Creating the cluster {name} with {tool.program}, which takes" in up.stdout
    assert "Kubernetes answers; its node is node1, the namespace is meltano." in up.stdout
    assert up.stdout.splitlines()[-1] == (
        "make kube-up: the cluster has no default StorageClass, from which the warehouse gets its "
        "volume; annotate one with storageclass.kubernetes.io/is-default-class=true"
    )
    assert here.calls == [f"{tool.create} {name}"]
    here.run("kube-up")
    assert here.calls == []
    here.kubeconfig.unlink()
    assert f"Starting the cluster {name} ..." in here.run("kube-up").stdout
    assert here.calls == [f"{tool.resume} {name}"]
    down = here.run("kube-down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert f"The cluster {name} is deleted." in down.stdout
    assert here.calls == [f"{tool.delete} {name}"]
    assert not here.kubeconfig.parent.exists()


def test_what_an_interrupted_creation_has_left_is_deleted_first(machine):
    here = machine("kind")
    here.broken.touch()
    up = here.run("kube-up")
    kind = CLUSTER_TOOLS[0]
    name = kind.name(here.checkout)
    assert up.returncode == 1
    assert f"make kube-up: `{kind.create} {name}` failed" in up.stdout
    here.broken.unlink()
    here.run("kube-up")
    assert here.calls == [f"{kind.delete} {name}", f"{kind.create} {name}"]


def test_kind_is_taken_first(machine):
    here = machine("minikube", "k3d", "kind")
    here.run("kube-up")
    assert [call.split()[0] for call in here.calls] == ["kind"]


def test_two_checkouts_have_two_clusters():
    assert len({tool.name(Path(each)) for tool in CLUSTER_TOOLS for each in ("/a", "/b")}) == 4


@pytest.mark.parametrize("tool", CLUSTER_TOOLS, ids=lambda tool: tool.program)
def test_the_image_is_loaded_by_the_program_that_made_the_cluster(tool: ClusterTool):
    name = tool.name(Path("/checkout"))
    context = name if tool.program == "minikube" else f"{tool.program}-{name}"
    assert image_loader(context) == [*tool.load.split(), name]


def test_without_any_of_them_it_says_what_to_install(machine):
    up = machine(kubectl=False).run("kube-up")
    assert up.returncode == 1
    assert up.stdout.splitlines()[-1] == (
        "make kube-up: no Kubernetes: set KUBECONFIG to the kubeconfig of a cluster, or install "
        "kind (https://kind.sigs.k8s.io), k3d or minikube, with which kube-up makes one; "
        "both need kubectl"
    )
