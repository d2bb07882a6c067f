"""Airflow DAGs of one pod each, which Meltano's operator runs."""

import os
from pathlib import Path

import yaml
from airflow.sdk import DAG

from dag_factory.runners.kubernetes.pod import MeltanoPod

POD = Path(__file__).parents[1].joinpath("pod.yaml").read_text()
TELL = "import os; print('uid', os.getuid(), 'API token', os.path.exists('/var/run/secrets'))"


def make_dag(dag_id: str, code: str) -> DAG:
    template = yaml.safe_load(POD)
    spec = template["spec"] | {"serviceAccountName": "meltano"}
    # Its token comes, or does not, as the ServiceAccount says.
    del spec["automountServiceAccountToken"]
    spec["containers"][0] |= {
        "image": os.environ["TEST_IMAGE"],
        "command": ["python", "-c", code],
    }
    with DAG(dag_id, schedule=None) as dag:
        MeltanoPod(
            task_id="pod",
            name=dag_id,
            template=template | {"spec": spec},
            startup_check_interval_seconds=1,
        )
    return dag


ends_well = make_dag("ends_well", TELL)
fails = make_dag("fails", f"{TELL}; raise SystemExit(3)")
