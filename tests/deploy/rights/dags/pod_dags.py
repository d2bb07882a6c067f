"""Airflow DAGs of one pod each, with the security context of Meltano's pods."""

import os
from pathlib import Path

import yaml
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

POD = yaml.safe_load(Path(__file__).parents[1].joinpath("pod.yaml").read_text())
# Its token comes, or does not, as the ServiceAccount says.
del POD["spec"]["automountServiceAccountToken"]
TELL = "import os; print('uid', os.getuid(), 'API token', os.path.exists('/var/run/secrets'))"


def make_dag(dag_id: str, code: str) -> DAG:
    with DAG(dag_id, schedule=None) as dag:
        KubernetesPodOperator(
            task_id="pod",
            pod_template_dict=POD,
            image=os.environ["TEST_IMAGE"],
            cmds=["python", "-c", code],
            service_account_name="meltano",
            startup_check_interval_seconds=1,
            on_finish_action="delete_pod",
        )
    return dag


ends_well = make_dag("ends_well", TELL)
fails = make_dag("fails", f"{TELL}; raise SystemExit(3)")
