"""Do with a ServiceAccount's token what a part of Airflow asks of Kubernetes.

    python run_as.py ROLE NAMESPACE < RUNS

RUNS is JSON: for the name of each run the path of a kubeconfig. What a run logs follows its name.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pod_dags
import yaml
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger

WHOLE = "whole"
SECONDS = 120
# An executor that lacks a right never ends by itself.
SECONDS_OF_LESS = {
    "task-pods-launcher": SECONDS,
    "task-pods-watcher": SECONDS,
    "worker-pods-launcher": 15,
}
ANNOTATIONS = {"dag_id": "a_dag", "task_id": "a_task", "run_id": "a_run", "try_number": "1"}


def make_pod(namespace: str, name: str, code: str, **metadata: dict[str, str]) -> None:
    """Start a pod as the administrator, as somebody else would have left it there."""
    pod: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("pod.yaml").read_text())
    pod["metadata"] = {"name": name, "namespace": namespace, **metadata}
    (container,) = pod["spec"]["containers"]
    container["image"] = os.environ["TEST_IMAGE"]
    # Long enough for its start to be waited for.
    start = {
        **container,
        "name": "start",
        "command": ["python", "-c", "import time; time.sleep(3)"],
    }
    pod["spec"]["initContainers"] = [start]
    container["command"] = ["python", "-c", code]
    subprocess.run(["kubectl", "create", "-f", "-"], input=json.dumps(pod), text=True, check=True)


def is_there(namespace: str, name: str) -> bool:
    argv = ["kubectl", "get", "pod", name, "-n", namespace, "--ignore-not-found", "-o", "name"]
    return bool(subprocess.run(argv, capture_output=True, check=True).stdout)


def run_tasks(kubeconfig: str, namespace: str, run: str) -> None:
    """Run tasks as a worker does; the connection says in which namespace."""
    connection = json.loads(os.environ["TEST_CONNECTION"])
    connection["extra"] = {"kube_config_path": kubeconfig, "namespace": namespace}
    os.environ["AIRFLOW_CONN_KUBERNETES_DEFAULT"] = json.dumps(connection)
    for dag in (pod_dags.ends_well, pod_dags.fails):
        print(f"{dag.dag_id}: {dag.test().state}")


def run_triggers(kubeconfig: str, namespace: str, run: str) -> None:
    """Wait for a pod as the triggerer does, and delete it as for a task that is cleared."""

    def make_trigger() -> KubernetesPodTrigger:
        return KubernetesPodTrigger(
            pod_name=run,
            pod_namespace=namespace,
            trigger_start_time=datetime.now(UTC),
            base_container_name="base",
            config_dict=yaml.safe_load(Path(kubeconfig).read_text()),
            in_cluster=False,
            poll_interval=0.5,
            startup_check_interval=1,
            logging_interval=1,
        )

    async def wait() -> None:
        async for event in make_trigger().run():
            print("event:", event.payload["status"])

    make_pod(namespace, run, "import time; print('at work', flush=True); time.sleep(8)")
    asyncio.run(wait())
    asyncio.run(make_trigger().on_kill())


def run_executor(kubeconfig: str, namespace: str, run: str) -> None:
    """Run a worker pod as the scheduler does, and take over that of a scheduler that is gone."""
    os.environ["AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE"] = kubeconfig
    labels = {"kubernetes_executor": "True", "airflow-worker": "gone"}
    make_pod(namespace, run, "", labels=labels, annotations=ANNOTATIONS)
    wait = ["kubectl", "wait", f"pod/{run}", "-n", namespace, "--timeout=60s"]
    subprocess.run([*wait, "--for=jsonpath={.status.phase}=Succeeded"], check=True)
    executor = KubernetesExecutor()
    executor.job_id = "1"
    executor.start()
    attempt(lambda: executor.try_adopt_task_instances([]))
    key = TaskInstanceKey("a_dag", "a_task", "another_run", 1, -1)
    executor.running.add(key)
    executor.execute_async(key, ["airflow", "tasks", "run"])
    while key in executor.running or is_there(namespace, run):
        attempt(executor.sync)
        time.sleep(0.2)
    print("no task and no pod is left")


def attempt(step: Callable[[], Any]) -> None:
    """Carry on after a refusal, as Airflow does; the log has it."""
    try:
        step()
    except Exception:  # noqa: BLE001 - whatever it is
        traceback.print_exc(file=sys.stdout)


RUNS = {
    "task-pods-launcher": run_tasks,
    "task-pods-watcher": run_triggers,
    "worker-pods-launcher": run_executor,
}


def run_alone(role: str, kubeconfig: str, namespace: str, run: str) -> None:
    """Do one run in this process, which leads those that it starts, and ends all of them."""
    os.setsid()
    attempt(lambda: RUNS[role](kubeconfig, namespace, run))
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    role, namespace = sys.argv[1:]
    for name, kubeconfig in json.load(sys.stdin).items():
        print(f"\n== {name}", flush=True)
        run = multiprocessing.get_context("fork").Process(
            target=run_alone, args=(role, kubeconfig, namespace, name)
        )
        run.start()
        # What it may not do, the executor tries for ever, within one call.
        run.join(SECONDS if name == WHOLE else SECONDS_OF_LESS[role])
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.join()
