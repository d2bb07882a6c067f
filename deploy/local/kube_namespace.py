"""The namespace of `make kube-up`: what is in it, and what came of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from airflow_server import LocalError
from kube_cluster import KubeCluster
from platform_cli import say, wait_for

from dag_factory.options.pod_merge import merge_pods
from dag_factory.planning.plan import DagPlan
from dag_factory.runners.kubernetes.pod_spec import pod_name, pod_template

_OWNER = "meltano-dag-factory/checkout"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# That of the image; see images/meltano/Dockerfile.
_USER = 10001
_PYTHON = ".meltano/loaders/target-duckdb/venv/bin/python"
_WAREHOUSE = "/data/warehouse.duckdb"


def owner(cluster: KubeCluster, namespace: str) -> str | None:
    """Return the checkout that made a namespace; "" for none, `None` where it is not there."""
    listed = cluster.kubectl("get", "namespace", namespace, "--ignore-not-found", "--output=json")
    if not listed:
        return None
    return str(json.loads(listed)["metadata"].get("annotations", {}).get(_OWNER, ""))


def check_free(cluster: KubeCluster, namespace: str, checkout: Path) -> None:
    """Check that a namespace is not there, or is of this checkout.

    Raises:
        LocalError: It is of somebody else.
    """
    found = owner(cluster, namespace)
    if found not in (None, str(checkout)):
        whose = f"of the checkout {found}" if found else "not made by kube-up"
        hint = "choose another: make kube-up NAMESPACE=..."
        raise LocalError(f"the namespace {namespace} is there, and {whose}; {hint}")


def make_namespace(cluster: KubeCluster, namespace: str, checkout: Path, folder: Path) -> None:
    """Make the namespace, and in it the volume of the warehouse.

    Args:
        cluster: Where.
        namespace: Its name.
        checkout: Whose it is.
        folder: That of the volume on this machine, where the cluster itself makes none.

    Raises:
        LocalError: Nothing gives volumes.
    """
    metadata = {"name": namespace, "annotations": {_OWNER: str(checkout)}}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    if not _makes_volumes(cluster):
        if not cluster.is_ours:
            raise LocalError("the cluster has no default StorageClass: give it one")
        spec |= {"storageClassName": "", "volumeName": _make_volume(cluster, namespace, folder)}
    metadata = {"name": "warehouse", "namespace": namespace}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    cluster.apply(claim | {"spec": spec})


def delete_namespace(cluster: KubeCluster, namespace: str, checkout: Path) -> None:
    """Delete the namespace and all that is in it, rows included, if it is of this checkout."""
    if owner(cluster, namespace) != str(checkout):
        return
    if cluster.is_ours:
        # It goes with its claim.
        cluster.kubectl("delete", "pv", _volume(namespace), "--ignore-not-found", "--wait=false")
    cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=180s")
    say(f"The namespace {namespace} is deleted.")


def show_pods(cluster: KubeCluster, namespace: str, plan: DagPlan) -> None:
    """Print the names of the pods that a job's tasks have had lately."""
    asked = ("get", "events", "-n", namespace, "--field-selector=reason=Scheduled")
    events = json.loads(cluster.kubectl(*asked, "--output=json"))["items"]
    names = [each["involvedObject"]["name"] for each in events]
    begins = tuple(f"{pod_name(plan, task)}-" for task in plan.tasks)
    for name in filter(lambda each: each.startswith(begins), names):
        say(f"    in the pod {name}")


def show_rows(cluster: KubeCluster, namespace: str, plan: DagPlan) -> None:
    """Print the tables of the warehouse, as a pod like those of the job sees it.

    Raises:
        LocalError: The pod could not read it.
    """
    script = Path(__file__).with_name("warehouse_rows.py").read_text()
    container = {"name": "base", "command": [_PYTHON], "args": ["-c", script, _WAREHOUSE]}
    own = {"metadata": {"name": "rows"}, "spec": {"containers": [container]}}
    pod = merge_pods(pod_template(plan, plan.tasks[0]), own)
    there = ("-n", namespace)
    gone = (*there, "delete", "pod", "rows", "--ignore-not-found")
    cluster.kubectl(*gone)
    cluster.kubectl(*there, "create", "--filename=-", stdin=pod)

    def unfinished() -> str | None:
        phase = cluster.get("pod", "rows", namespace)["status"]["phase"]
        return None if phase in ("Succeeded", "Failed") else f"the pod rows ({phase})"

    try:
        wait_for(unfinished, limit=180)
        *_, last = said = cluster.kubectl(*there, "logs", "rows").strip().split("\n")
        if cluster.get("pod", "rows", namespace)["status"]["phase"] == "Failed":
            raise LocalError(f"the rows could not be read: {last}")
    finally:
        cluster.kubectl(*gone)
    say(f"Rows in {_WAREHOUSE} of the volume:")
    say("\n".join(said))


def _makes_volumes(cluster: KubeCluster) -> bool:
    classes = json.loads(cluster.kubectl("get", "storageclasses", "--output=json"))["items"]
    notes = [each["metadata"].get("annotations", {}) for each in classes]
    return any(each.get(_DEFAULT_CLASS) == "true" for each in notes)


def _volume(namespace: str) -> str:
    return f"{namespace}-warehouse"


def _make_volume(cluster: KubeCluster, namespace: str, folder: Path) -> str:
    """Make a volume of a folder of this machine, which is the cluster's node; return its name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, _USER, _USER)
    name = _volume(namespace)
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "claimRef": {"name": "warehouse", "namespace": namespace},
        "hostPath": {"path": str(folder), "type": "Directory"},
        "storageClassName": "",
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    )
    return name
