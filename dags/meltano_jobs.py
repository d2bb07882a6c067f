"""Airflow DAGs: one per job in meltano/meltano.yml."""

from pathlib import Path

from dag_factory import build_airflow_dags

globals().update(build_airflow_dags(Path(__file__).parents[1] / "meltano"))
