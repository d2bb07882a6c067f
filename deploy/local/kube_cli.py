"""The platform with its tasks in pods of a cluster: `make kube-up`, `make kube-down`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from airflow_server import LocalAirflow, LocalError, write_private
from kube_cluster import KubeCluster, find_cluster
from kube_image import image_tag
from kube_namespace import check_free, delete_namespace, make_namespace, show_pods, show_rows
from platform_cli import (
    CHECKOUT,
    FIRST_JOB,
    first_run,
    is_running,
    planned_dags,
    report,
    say,
    say_goodbye,
    show_dags,
    start,
)

from dag_factory.planning.plan import DagPlan
from dag_factory.settings import Settings

FOLDER = ".local-kube"
STATE = CHECKOUT / FOLDER
ENVIRONMENT = "kube"
_RECORD = STATE / "kube.json"


def recorded() -> dict[str, Any]:
    """Return what `kube-up` noted of the cluster that it uses."""
    return dict(json.loads(_RECORD.read_text())) if _RECORD.exists() else {}


def note(**news: Any) -> None:
    """Note something of the cluster for the next command."""
    STATE.mkdir(exist_ok=True)
    write_private(_RECORD, json.dumps(recorded() | news))


def cluster_for(namespace: str) -> KubeCluster:
    """Return a cluster that runs, and note which it is.

    Raises:
        LocalError: There is none; or another one, or another namespace, is in use already; or the
            namespace is of somebody else.
    """
    cluster = find_cluster()
    asked = {"kubeconfig": cluster.kubeconfig, "namespace": namespace}
    used = {name: recorded().get(name, value) for name, value in asked.items()}
    if used != asked:
        where = f"the namespace {used['namespace']} of the cluster of {used['kubeconfig']}"
        raise LocalError(f"it uses {where}: go on with that, or run make kube-down first")
    if not cluster.answers():
        say("Starting Kubernetes ...")
        if cluster.is_stopped:
            note(kubeconfig=cluster.kubeconfig, is_ours=cluster.is_ours, started=True)
    if cluster.is_ours:
        cluster.start()
    node = cluster.kubectl("get", "nodes", "--output=name").split()[0].removeprefix("node/")
    say(f"Kubernetes answers; its node is {node}, the namespace is {namespace}.")
    check_free(cluster, namespace, CHECKOUT)
    note(**asked, is_ours=cluster.is_ours)
    return cluster


def bring_image(cluster: KubeCluster, tag: str) -> None:
    """Build the image of Meltano for the cluster, unless it has it."""
    if cluster.has_image(tag):
        say(f"The cluster has the image {tag}")
        return
    say(f"Building the image {tag}, which takes a minute or two ...")
    cluster.build_image("meltano", tag)


def serve(airflow: LocalAirflow, port: int, cluster: KubeCluster, namespace: str) -> None:
    """Start Airflow, unless it runs, and tell the pods how to reach it."""
    image = airflow.variables["MELTANO_IMAGE"]
    if recorded().get("image", image) != image and airflow.stop():
        say("Airflow is stopped, to start with the new image.")
    note(image=image)
    running = is_running(airflow, port, "make kube-down")
    if not airflow.processes():
        airflow.configure(port)
    metadata = {"name": "meltano", "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    cluster.apply(secret | {"stringData": airflow.tap_variables})
    cluster.launcher(namespace, STATE / "launcher.kubeconfig")
    if not running:
        start(airflow)


def airflow_for(cluster: KubeCluster, namespace: str, image: str) -> LocalAirflow:
    """Return the Airflow whose tasks are pods of the namespace."""
    extra = {"kube_config_path": str(STATE / "launcher.kubeconfig"), "namespace": namespace}
    variables = {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra}),
        "MELTANO_ENVIRONMENT": ENVIRONMENT,
        "MELTANO_IMAGE": image,
    }
    return LocalAirflow(CHECKOUT, FOLDER, cluster.host, variables)


def plan_of(plans: Sequence[DagPlan], job: str) -> DagPlan:
    """Return the plan of a job.

    Raises:
        LocalError: There is none.
    """
    for plan in plans:
        if plan.job == job:
            return plan
    raise LocalError(f"meltano/meltano.yml has no job {job} that can run: it is the first to run")


def up(port: int, namespace: str) -> None:
    """Show the same as `make up`, in pods."""
    image = image_tag(CHECKOUT)
    settings = Settings(CHECKOUT / "meltano", environment=ENVIRONMENT, image=image)
    plans = planned_dags(settings)
    first = plan_of(plans, FIRST_JOB)
    cluster = cluster_for(namespace)
    make_namespace(cluster, namespace, CHECKOUT, STATE / "data")
    bring_image(cluster, image)
    airflow = airflow_for(cluster, namespace, image)
    serve(airflow, port, cluster, namespace)
    with airflow.api() as api:
        show_dags(api, plans)
        first_run(api, first.dag_id)
    show_pods(cluster, namespace, first)
    show_rows(cluster, namespace, first)
    say(f"It listens on {cluster.host}, in plain HTTP: whoever reaches that reaches its login.")
    say_goodbye(airflow, "make kube-down")


def down() -> None:
    """Stop Airflow, and forget all that `kube-up` made, but for the image."""
    used = recorded()
    if not used:
        say("Nothing of kube-up is here.")
        return
    stopped = LocalAirflow(CHECKOUT, FOLDER).stop()
    say("Airflow is stopped." if stopped else "Airflow was not running.")
    cluster = KubeCluster(used["kubeconfig"], used["is_ours"])
    namespace = used.get("namespace")
    if namespace and cluster.answers():
        delete_namespace(cluster, namespace, CHECKOUT)
    elif namespace:
        say(f"The cluster does not answer: the namespace {namespace}, if it is there, is left.")
    if used.get("started"):
        cluster.stop()
        say("Kubernetes is stopped.")
    shutil.rmtree(STATE)
    say(f"Removed {STATE}")


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["kube-up", "kube-down"])
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's UI (default: 8080)")
    named = recorded().get("namespace", "meltano")
    parser.add_argument("--namespace", default=named, help=f"of the pods (default: {named})")
    arguments = parser.parse_args()
    logs = LocalAirflow(CHECKOUT, FOLDER).log_file("*")
    acts = {"kube-up": lambda: up(arguments.port, arguments.namespace), "kube-down": down}
    return report(arguments.command, logs, acts[arguments.command])


if __name__ == "__main__":
    sys.exit(main())
