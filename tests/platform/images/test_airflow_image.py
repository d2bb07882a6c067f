"""`images/airflow` on a real cluster, as the official Helm chart starts it."""

import json
from typing import Any

import pytest

from dag_factory.planning.planned_project import read_and_plan
from dag_factory.settings import Settings
from tests.support.cluster import Cluster
from tests.support.running import CHECKOUT, wait_until

COMMAND = (
    "airflow db migrate >/dev/null 2>&1"
    " && python -c 'import dag_factory.runners.kubernetes.pod, airflow.providers.celery'"
    " && exec /entrypoint airflow dags list --local --output json"
)
USER = 50000


def make_pod(image: str) -> dict[str, Any]:
    """Return a pod with the chart's user, and a root filesystem that cannot be written to."""
    mounts = {"logs": "/opt/airflow/logs", "tmp": "/tmp"}  # noqa: S108 - in the pod
    database = {"name": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "value": "sqlite:////tmp/airflow.db"}
    container = {
        "name": "base",
        "image": image,
        "args": ["bash", "-c", f"id -u && {COMMAND}"],
        "env": [database],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 0},
        "containers": [container],
        "volumes": [{"name": name, "emptyDir": {}} for name in mounts],
    }
    metadata = {"name": "airflow"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.mark.faults
def test_it_finds_the_dags_of_the_project_that_it_holds(cluster: Cluster, namespace: str):
    image = cluster.image("airflow")
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=make_pod(image))

    def phase() -> str | None:
        found = cluster.get("pod", "airflow", namespace)["status"]["phase"]
        return found if found in ("Succeeded", "Failed") else None

    ended = wait_until(phase, 180, "the end of the pod")
    log = cluster.kubectl("logs", "airflow", "-n", namespace).splitlines()
    assert ended == "Succeeded", log
    assert log[0] == str(USER)
    dags = {each["dag_id"] for each in json.loads(log[-1])}
    planned = read_and_plan(Settings(CHECKOUT / "meltano"))
    assert dags == {each.dag_id for each in (*planned.plans, planned.state_plan)}
