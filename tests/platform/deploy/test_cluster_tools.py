"""`make kube-up` without KUBECONFIG makes a cluster with kind, k3d or minikube.

The three, docker and kubectl are stand-ins here, which write down how they are called. A cluster
answers from when its program has started it until it is deleted.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_platform.kube.cluster import DEFAULT_CLASS
from local_platform.kube.cluster_tools import CLUSTER_TOOLS, ClusterTool, image_loader

from tests.support.running import copy_checkout

PROGRAM = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$(basename "$0") $*" >>{calls}
case "$*" in
*delete*) rm -f {running} ;;
*create*|*start*) [ ! -e {broken} ] || exit 1; touch {running}; echo a cluster >"$KUBECONFIG" ;;
esac
"""
KUBECTL = """#!/bin/sh
[ -e {running} ] || exit 1
case "$*" in
*/version*) echo '{{"gitVersion": "v1.34.0"}}' ;;
*nodes*--output=name*) echo node/node1 ;;
*nodes*) echo "node1   Ready   control-plane   1m   v1.34.0" ;;
*storageclasses*)
    echo '{{"items": [{{"metadata": {{"annotations": {{"{default}": "true"}}}}}}]}}' ;;
*apply*) echo "no, this is not a cluster" >&2; exit 1 ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A checkout, and the programs of a machine."""

    checkout: Path
    folder: Path
    running: Path
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


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """Return a machine with some programs, and kubectl."""

    def make(*programs: str, kubectl: bool = True) -> Machine:
        found = Machine(
            copy_checkout(tmp_path / "checkout"),
            tmp_path / "bin",
            tmp_path / "running",
            tmp_path / "broken",
            tmp_path / "calls",
        )
        found.folder.mkdir()
        texts = dict.fromkeys([*programs, "docker"], PROGRAM)
        texts |= {"kubectl": KUBECTL} if kubectl else {}
        places = {name: getattr(found, name) for name in ("running", "broken")}
        for name, text in texts.items():
            file = found.folder / name
            file.write_text(text.format(calls=found.calls_file, default=DEFAULT_CLASS, **places))
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
    assert up.stdout.splitlines()[-1].endswith("failed: no, this is not a cluster")
    assert here.calls == [tool.create.format(name)]
    here.run("kube-up")
    assert here.calls == []
    here.running.unlink()
    assert f"Starting the cluster {name} ..." in here.run("kube-up").stdout
    assert here.calls == [tool.resume.format(name)]
    down = here.run("kube-down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert f"The cluster {name} is deleted." in down.stdout
    assert here.calls == [tool.delete.format(name)]
    assert not here.checkout.joinpath(".local-kube").exists()


def test_a_creation_that_fails_leaves_nothing(machine):
    here = machine("kind")
    here.broken.touch()
    up = here.run("kube-up")
    kind = CLUSTER_TOOLS[0]
    name = kind.name(here.checkout)
    assert up.returncode == 1
    assert f"make kube-up: `{kind.create.format(name)}` failed" in up.stdout
    assert here.calls == [kind.create.format(name), kind.delete.format(name)]
    assert here.run("kube-down").stdout == "kube-up was not running.\n"


def test_what_an_interrupted_creation_has_left_is_deleted_unless_it_answers(machine):
    here = machine("kind")
    kind = CLUSTER_TOOLS[0]
    name = kind.name(here.checkout)
    record = here.checkout / ".local-kube/kube.json"
    record.parent.mkdir()
    begun = {"kubeconfig": f"{record.parent}/cluster.kubeconfig", "tool": "kind", "cluster": name}
    record.write_text(json.dumps(begun))
    here.run("kube-up")
    assert here.calls == [kind.delete.format(name), kind.create.format(name)]
    record.write_text(json.dumps(begun))
    here.run("kube-up")
    assert here.calls == []
    assert json.loads(record.read_text())["is_created"] is True


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
    assert image_loader(context) == tool.load.format(name).split()


def test_without_any_of_them_it_says_what_to_install(machine):
    up = machine(kubectl=False).run("kube-up")
    assert up.returncode == 1
    assert up.stdout.splitlines()[-1] == (
        "make kube-up: no Kubernetes: set KUBECONFIG to the kubeconfig of a cluster, or install "
        "kind (https://kind.sigs.k8s.io), k3d or minikube, with which kube-up makes one; "
        "both need kubectl"
    )
