"""What the DAGs of a project cost Airflow's DAG processor, beside plain ones written in Python.

Run by `make bench`. CPU time, the least of some runs; ratios are what to compare between machines.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings
from tests.bench.bench_reading import JOBS, cpu, project


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIRFLOW_HOME"] = folder
        from airflow.providers.standard.operators.bash import BashOperator  # noqa: PLC0415
        from airflow.sdk import DAG  # noqa: PLC0415
        from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415

        from dag_factory.airflow.build import build_dag, build_dags  # noqa: PLC0415

        root = project(Path(folder))
        settings = Settings(root)
        plans = check_project(settings).plans
        mailed = [
            replace(plan, options=replace(plan.options, email=("a@example.com",))) for plan in plans
        ]

        def plain() -> list[DAG]:
            dags = []
            for plan in plans:
                with DAG(plan.dag_id, schedule=plan.crons[0], auto_register=False) as dag:
                    for task in plan.tasks:
                        BashOperator(task_id=task.task_id, bash_command=" ".join(task.argv))
                dags.append(dag)
            return dags

        ours = [build_dag(plan, root) for plan in mailed]
        theirs = plain()
        whats = {
            "plain DAGs": plain,
            "ours": lambda: [build_dag(plan, root) for plan in mailed],
            "plain DAGs, serialised": lambda: [DagSerialization.to_dict(dag) for dag in theirs],
            "ours, serialised": lambda: [DagSerialization.to_dict(dag) for dag in ours],
            "ours, built and checked": lambda: build_dags(mailed, settings),
        }
        measured = {name: cpu(what) for name, what in whats.items()}
    print(f"{JOBS} DAGs of one task: CPU seconds, and times the first")
    for name, seconds in measured.items():
        print(f"{name:28} {seconds:7.3f} {seconds / measured['plain DAGs']:7.1f}")


if __name__ == "__main__":
    main()
