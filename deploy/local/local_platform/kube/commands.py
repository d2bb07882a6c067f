"""The platform with its tasks in pods of a cluster: `make kube-up`, `make kube-down`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dag_factory.planning.plan import DagPlan
from dag_factory.settings import Settings
from local_platform.airflow_server import LocalAirflow
from local_platform.console import LocalError, Stopwatch, say, wait_for
from local_platform.kube.cluster import KubeCluster
from local_platform.kube.cluster_tools import ClusterTool, cluster_tool
from local_platform.kube.image import image_tag
from local_platform.kube.namespace import (
    check_namespace,
    create_database,
    create_namespace,
    delete_namespace,
    show_pods,
    show_rows,
)
from local_platform.private_files import write_private
from local_platform.steps import (
    FIRST_JOB,
    first_run,
    is_running,
    planned_dags,
    show_dags,
    show_login,
    start,
)
from local_platform.subprocesses import lock

FOLDER = ".local-kube"
ENVIRONMENT = "kube"
_DEFAULT_NAMESPACE = "meltano"


@dataclass(frozen=True)
class _Record:
    """What `kube-up` keeps for the next command about the cluster that it uses.

    Attributes:
        folder: The folder of its state.
    """

    folder: Path

    @property
    def values(self) -> dict[str, Any]:
        return dict(json.loads(self._file.read_text())) if self._file.exists() else {}

    def update(self, **values: Any) -> None:
        self.folder.mkdir(exist_ok=True)
        write_private(self._file, json.dumps(self.values | values))

    def forget(self) -> None:
        self._file.unlink()

    @property
    def _file(self) -> Path:
        return self.folder / "kube.json"


def up(checkout: Path, port: int, namespace: str | None) -> None:
    """Show the same as `make up`, in pods."""
    image = image_tag(checkout)
    settings = Settings(checkout / "meltano", environment=ENVIRONMENT, image=image)
    plans = planned_dags(settings)
    first = _plan_of(plans, FIRST_JOB)
    record = _Record(checkout / FOLDER)
    namespace = namespace or record.values.get("namespace", _DEFAULT_NAMESPACE)
    watch = Stopwatch()
    with lock(record.folder):
        with watch.step("cluster"):
            cluster = _running_cluster(checkout, namespace, record)
            create_namespace(cluster, namespace)
        airflow = _airflow(cluster, namespace, image)
        if not airflow.processes():
            airflow.check_port(port)
        with watch.step("image"):
            _provide_image(cluster, image)
        with watch.step("Airflow"):
            if not _is_ready(airflow, port, cluster, namespace, record):
                create_database(cluster, namespace, first)
                start(airflow)
        with airflow.api() as api:
            with watch.step("DAGs"):
                show_dags(api, plans)
            with watch.step("first run"):
                first_run(api, first.dag_id)
        show_pods(cluster, namespace, first)
        with watch.step("rows"):
            show_rows(cluster, namespace, first)
    say(str(watch))
    say(f"It listens on {cluster.host} with plain HTTP; whoever reaches that can try to log in.")
    show_login(airflow, "make kube-down")


def down(checkout: Path) -> None:
    """Stop Airflow and remove everything that `kube-up` made except the image."""
    record = _Record(checkout / FOLDER)
    with lock(record.folder):
        if record.values:
            _remove(checkout, record.values)
        else:
            say("kube-up was not running.")
        shutil.rmtree(record.folder)


def _remove(checkout: Path, used: Mapping[str, Any]) -> None:
    """Remove what `kube-up` made outside the folder of its state."""
    stopped = LocalAirflow(checkout, FOLDER).stop()
    say("Airflow is stopped." if stopped else "Airflow was not running.")
    cluster = KubeCluster(checkout, used["kubeconfig"])
    namespace = used.get("namespace")
    if program := used.get("tool"):
        tool, name = cluster_tool(program), used["cluster"]
        tool.run(tool.delete, name, Path(cluster.kubeconfig))
        say(f"The cluster {name} is deleted.")
    elif namespace and cluster.answers():
        delete_namespace(cluster, namespace)
    elif namespace:
        say(f"The cluster does not answer; if it has the namespace {namespace}, delete it there.")
    say(f"Removed {checkout / FOLDER}")


def _plan_of(plans: Sequence[DagPlan], job: str) -> DagPlan:
    for plan in plans:
        if plan.job == job:
            return plan
    raise LocalError(f"meltano/meltano.yml must have a job {job} that can run: it is run first")


def _running_cluster(checkout: Path, namespace: str, record: _Record) -> KubeCluster:
    """Return a cluster that is running, and record which it is.

    Raises:
        LocalError: There is none and none can be made, another cluster or namespace is already in
            use, or the namespace was not made by this checkout.
    """
    given = os.environ.get("KUBECONFIG")
    if not given:
        cluster_tool(record.values.get("tool"))
    if not shutil.which("kubectl"):
        raise LocalError("kubectl is not installed; install it")
    own = str(record.folder / "cluster.kubeconfig")
    kubeconfig = given or own
    wanted = {"kubeconfig": kubeconfig, "namespace": namespace}
    used = {name: record.values.get(name, value) for name, value in wanted.items()}
    if used != wanted:
        raise LocalError(
            f"this checkout already uses the namespace {used['namespace']}, and the cluster of the "
            f"kubeconfig {used['kubeconfig']}; to continue, set NAMESPACE={used['namespace']} and "
            f"{_to_use(used['kubeconfig'], own)}; or run make kube-down first"
        )
    cluster = KubeCluster(checkout, kubeconfig)
    if not given:
        _make_cluster(cluster, record)
    elif not cluster.answers():
        raise LocalError(
            f"the cluster of KUBECONFIG={given} does not answer; start it, or unset KUBECONFIG"
        )
    nodes = cluster.kubectl("get", "nodes", "--output=name").replace("node/", "").split()
    if not nodes:
        raise LocalError("the cluster has no node, so no pod can run; add one")
    say(f"Kubernetes answers; its node is {nodes[0]}, the namespace is {namespace}.")
    check_namespace(cluster, namespace)
    record.update(**wanted)
    return cluster


def _to_use(kubeconfig: str, own: str) -> str:
    """Return what to do so that kube-up uses a kubeconfig."""
    return "unset KUBECONFIG" if kubeconfig == own else f"KUBECONFIG={kubeconfig}"


def _make_cluster(cluster: KubeCluster, record: _Record) -> None:
    """Create a cluster on this machine, or start the one that was created before.

    Raises:
        LocalError: No program that can do so is installed, or it failed.
    """
    used = record.values
    tool = cluster_tool(used.get("tool"))
    name = used.get("cluster", tool.name(cluster.checkout))
    kubeconfig = Path(cluster.kubeconfig)
    if used.get("tool") and cluster.answers():
        record.update(is_created=True)
    elif used.get("is_created"):
        say(f"Starting the cluster {name} ...")
        _resume(tool, name, kubeconfig)
    else:
        if used.get("tool"):
            with suppress(LocalError):  # whatever an interrupted creation has left
                tool.run(tool.delete, name, kubeconfig)
        record.update(kubeconfig=cluster.kubeconfig, tool=tool.program, cluster=name)
        say(f"Creating the cluster {name} with {tool.program}, which takes a minute or two ...")
        try:
            tool.run(tool.create, name, kubeconfig)
        except LocalError:
            with suppress(LocalError):
                tool.run(tool.delete, name, kubeconfig)
            record.forget()
            raise
        record.update(is_created=True)
    wait_for(lambda: None if cluster.is_complete() else f"the cluster {name}", limit=180)


def _resume(tool: ClusterTool, name: str, kubeconfig: Path) -> None:
    try:
        tool.run(tool.resume, name, kubeconfig)
    except LocalError as error:
        advice = "for another cluster, run make kube-down, and then make kube-up"
        raise LocalError(f"{error}\n{advice}") from None


def _provide_image(cluster: KubeCluster, tag: str) -> None:
    """Build the image of Meltano for the cluster, unless the cluster has it."""
    if cluster.has_image(tag):
        say(f"The cluster has the image {tag}")
        return
    say(f"Building the image {tag}, which takes a minute or two ...")
    cluster.build_image(cluster.checkout, "meltano", tag)


def _airflow(cluster: KubeCluster, namespace: str, image: str) -> LocalAirflow:
    """Return the Airflow whose tasks are pods of the namespace."""
    launcher = _launcher_kubeconfig(cluster.checkout)
    extra = {"kube_config_path": str(launcher), "namespace": namespace}
    variables = {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra}),
        "MELTANO_ENVIRONMENT": ENVIRONMENT,
        "MELTANO_IMAGE": image,
    }
    return LocalAirflow(cluster.checkout, FOLDER, cluster.host, variables)


def _launcher_kubeconfig(checkout: Path) -> Path:
    return checkout / FOLDER / "launcher.kubeconfig"


def _is_ready(
    airflow: LocalAirflow, port: int, cluster: KubeCluster, namespace: str, record: _Record
) -> bool:
    """Return whether Airflow is running with the image; tell the pods how to reach it."""
    image = airflow.variables["MELTANO_IMAGE"]
    if record.values.get("image", image) != image and airflow.stop():
        say("Airflow is stopped, to start with the new image.")
    record.update(image=image)
    running = is_running(airflow, port, "make kube-down")
    if not airflow.processes():
        airflow.configure(port)
    metadata = {"name": "meltano", "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    cluster.apply(secret | {"stringData": airflow.tap_variables})
    cluster.launcher(namespace, _launcher_kubeconfig(cluster.checkout))
    return running
