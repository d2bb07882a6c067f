"""The namespace of `make kube-up`: its volume, its pods and the rows in its warehouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files

from dag_factory.options.pod_merge import merge_pods
from dag_factory.planning.plan import DagPlan
from dag_factory.runners.kubernetes.pod_spec import pod_name, pod_template
from local_platform.console import LocalError, TookTooLongError, say, wait_for
from local_platform.kube.cluster import DEFAULT_CLASS, KubeCluster

_OWNER = "meltano-dag-factory/checkout"
_PYTHON = ".meltano/loaders/target-duckdb/venv/bin/python"
_WAREHOUSE = "/data/warehouse.duckdb"
_POD_SECONDS = 180


def check_namespace(cluster: KubeCluster, namespace: str) -> None:
    """Check that a namespace does not exist, or was made by the cluster's checkout.

    Raises:
        LocalError: The namespace is not of this checkout.
    """
    owner = _owner(cluster, namespace)
    if owner not in (None, str(cluster.checkout)):
        maker = f"made by the checkout {owner}" if owner else "not made by kube-up"
        hint = "choose another: make kube-up NAMESPACE=..."
        raise LocalError(f"the namespace {namespace} exists and was {maker}; {hint}")


def create_namespace(cluster: KubeCluster, namespace: str) -> None:
    """Create the namespace and the claim of the warehouse's volume in it.

    Raises:
        LocalError: The cluster cannot provide a volume.
    """
    if not cluster.has_default_storage_class():
        raise LocalError(
            "the cluster has no default StorageClass, from which the warehouse gets its volume; "
            f"annotate one with {DEFAULT_CLASS}=true"
        )
    metadata = {"name": namespace, "annotations": {_OWNER: str(cluster.checkout)}}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    metadata = {"name": "warehouse", "namespace": namespace}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    cluster.apply(claim | {"spec": spec})


def delete_namespace(cluster: KubeCluster, namespace: str) -> None:
    """Delete the namespace with everything in it, if the cluster's checkout made it."""
    if _owner(cluster, namespace) != str(cluster.checkout):
        return
    cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=180s")
    say(f"The namespace {namespace} is deleted.")


def show_pods(cluster: KubeCluster, namespace: str, plan: DagPlan) -> None:
    """Print the names of the recent pods of a job's tasks."""
    command = ("get", "events", "-n", namespace, "--field-selector=reason=Scheduled")
    events = json.loads(cluster.kubectl(*command, "--output=json"))["items"]
    prefixes = tuple(f"{pod_name(plan, task)}-" for task in plan.tasks)
    for event in events:
        name = event["involvedObject"]["name"]
        if name.startswith(prefixes):
            say(f"    in the pod {name}")


def create_database(cluster: KubeCluster, namespace: str, plan: DagPlan) -> None:
    """Create Meltano's system database in the volume, by a pod like those of a job.

    Two pods that start at the same time with an SQLite database that does not exist would both
    create its tables, and one of them would fail.

    Raises:
        LocalError: The pod failed.
    """
    say("Creating Meltano's system database ...")
    _run_pod(cluster, namespace, plan, name="database", command="meltano", args=["state", "list"])


def show_rows(cluster: KubeCluster, namespace: str, plan: DagPlan) -> None:
    """Print the tables of the warehouse, read by a pod like those of the job.

    Raises:
        LocalError: The pod failed.
    """
    script = files("local_platform").joinpath("warehouse_rows.py").read_text()
    args = ["-c", script, _WAREHOUSE]
    lines = _run_pod(cluster, namespace, plan, name="rows", command=_PYTHON, args=args)
    say(f"Rows in {_WAREHOUSE} of the volume:")
    say("\n".join(lines))


def _run_pod(
    cluster: KubeCluster,
    namespace: str,
    plan: DagPlan,
    *,
    name: str,
    command: str,
    args: Sequence[str],
) -> list[str]:
    """Run a command in a pod like those of a job; return the lines that it prints."""
    container = {"name": "base", "command": [command], "args": [*args]}
    own = {"metadata": {"name": name}, "spec": {"containers": [container]}}
    pod = merge_pods(pod_template(plan, plan.tasks[0]), own)
    in_namespace = ("-n", namespace)
    delete = (*in_namespace, "delete", "pod", name, "--ignore-not-found")

    def phase() -> str:
        path = "--output=jsonpath={.status.phase}"
        return cluster.kubectl(*in_namespace, "get", "pod", name, "--ignore-not-found", path)

    def running() -> str | None:
        return f"the pod {name} of an interrupted command" if phase() == "Running" else None

    def unfinished() -> str | None:
        now = phase()
        return None if now in ("Succeeded", "Failed") else f"the pod {name} ({now})"

    with suppress(TookTooLongError):
        wait_for(running, limit=_POD_SECONDS)
    cluster.kubectl(*delete)
    cluster.kubectl(*in_namespace, "create", "--filename=-", stdin=pod)
    try:
        wait_for(unfinished, limit=_POD_SECONDS)
    except TookTooLongError:
        cluster.kubectl(*delete)
        raise
    lines = cluster.kubectl(*in_namespace, "logs", name).strip().split("\n")
    has_failed = phase() == "Failed"
    cluster.kubectl(*delete)
    if has_failed:
        raise LocalError(f"the pod {name} failed: {lines[-1]}")
    return lines


def _owner(cluster: KubeCluster, namespace: str) -> str | None:
    """Return the checkout that made a namespace: "" if none did, `None` if it does not exist."""
    found = cluster.kubectl("get", "namespace", namespace, "--ignore-not-found", "--output=json")
    if not found:
        return None
    return str(json.loads(found)["metadata"].get("annotations", {}).get(_OWNER, ""))
