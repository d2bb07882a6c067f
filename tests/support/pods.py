"""What tests of tasks in pods share: the project's DAGs in a running Airflow, and their rows."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.cluster import Cluster
from tests.support.postgres import Postgres
from tests.support.running import RunningAirflow, finished, task_log, wait_until

PREFIX = "pods_"
ROWS = 20_000
# Kubelet says one for a moment, and then the other.
NO_IMAGE = re.compile(
    r"(ErrImagePull|ImagePullBackOff): the image localhost/absent:1 cannot be pulled"
)


@dataclass(frozen=True)
class Pods:
    """A running Airflow whose DAGs of the test project run as pods of a namespace."""

    airflow: RunningAirflow
    api: httpx.Client
    cluster: Cluster
    postgres: Postgres
    namespace: str

    def start(self, job: str, **conf: Any) -> PodRun:
        """Start a job manually."""
        dag_id = f"{PREFIX}{job}"
        wait_until(lambda: self.api.get(f"dags/{dag_id}").is_success, 120, f"the DAG {dag_id}")
        answer = self.api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        run_id = answer.raise_for_status().json()["dag_run_id"]
        return PodRun(self, job, f"dags/{dag_id}/dagRuns/{run_id}")

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the namespace."""
        command = ["kubectl", f"--kubeconfig={self.cluster.kubeconfig}", "-n", self.namespace]
        return subprocess.run([*command, *words], check=True, capture_output=True, text=True).stdout

    def of(self, job: str) -> list[dict[str, Any]]:
        """Return the pods of a job that are there."""
        words = ("get", "pods", f"--selector=meltano_job={job}", "--output=json")
        return json.loads(self.kubectl(*words))["items"]

    def started(self, job: str) -> int:
        """Return how many pods of a job there have been, by the cluster's events."""
        words = ("get", "events", "--field-selector=reason=Scheduled", "--output=json")
        events = json.loads(self.kubectl(*words))["items"]
        begins = f"{PREFIX}{job}-tap-".replace("_", "-")
        return len({e["involvedObject"]["name"] for e in events if begins in e["message"]})

    def rows(self, schema: str) -> tuple[int, int]:
        """Return how many rows have been loaded, and how many different ones."""
        try:
            sql = f"select count(*), count(distinct id) from {schema}.numbers"  # noqa: S608
            return self.postgres.query(sql)[0]
        except Exception as error:
            if "does not exist" in str(error):
                return 0, 0
            raise

    def forget(self, name: str) -> None:
        """Forget the rows, the state and the runs of a tap, whose schema has its name."""
        self.postgres.query(f"drop schema if exists {name} cascade")
        for table, column in (("state", "state_id"), ("runs", "job_name")):
            if self.postgres.query("select to_regclass(%s)", table) != [(None,)]:
                sql = f"delete from {table} where {column} like %s"  # noqa: S608
                self.postgres.query(sql, f"%tap-{name}-%")

    def meltano_runs(self, tap: str) -> list[tuple[str, str]]:
        """Return the state and the reason of each of Meltano's runs of a tap."""
        sql = "select state, payload from runs where job_name = %s order by started_at"
        return self.postgres.query(sql, f"kube:{tap}-to-target-postgres")

    def bookmark(self, tap: str) -> int:
        """Return the last number whose row is loaded, as Meltano's state of a tap says."""
        sql = "select completed_state from state where state_id = %s"
        [(state,)] = self.postgres.query(sql, f"kube:{tap}-to-target-postgres")
        return json.loads(state)["singer_state"]["bookmarks"]["numbers"]["replication_key_value"]

    def phase(self, job: str) -> str:
        """Return what Kubernetes says of a job's only pod."""
        [pod] = self.of(job)
        return pod["status"]["phase"]

    def age_locks(self, tap: str) -> None:
        """Make the locks of a tap's killed runs as old as if five minutes had passed."""
        sql = "update runs set last_heartbeat_at = last_heartbeat_at - interval '6 minutes'"
        self.postgres.query(f"{sql} where state = 'RUNNING' and job_name like %s", f"%:{tap}-%")


@dataclass(frozen=True)
class PodRun:
    """One run of a job."""

    pods: Pods
    job: str
    path: str

    @property
    def task(self) -> dict[str, Any]:
        """Its only task instance."""
        [task] = self.pods.api.get(f"{self.path}/taskInstances").json()["task_instances"]
        return task

    def wait_for_rows(self, schema: str) -> None:
        """Wait until some rows are loaded, and not all."""
        count = wait_until(lambda: self.pods.rows(schema)[0], 120, f"rows of {schema}")
        assert count < ROWS

    def end(self, limit: float = 180) -> str:
        """Wait for its end, and return its state."""
        return wait_until(
            lambda: finished(self.pods.api, self.path), limit, f"the end of {self.job}"
        )

    def log(self, attempt: int = 1) -> str:
        """Return the log of an attempt, including exceptions."""
        return task_log(self.pods.api, self.path, attempt)

    def mark(self, state: str) -> None:
        """Mark its task, as a user does in the UI."""
        path = f"{self.path}/taskInstances/{self.task['task_id']}"
        self.pods.api.patch(path, json={"new_state": state}).raise_for_status()

    def clear(self) -> None:
        """Clear it, as a user does in the UI."""
        dag, _, run_id = self.path.partition("/dagRuns/")
        which = {"dag_run_id": run_id, "only_failed": False, "only_running": False}
        body = {"dry_run": False, **which}
        self.pods.api.post(f"{dag}/clearTaskInstances", json=body).raise_for_status()
