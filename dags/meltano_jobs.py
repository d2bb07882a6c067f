"""Airflow DAGs: one for each job in meltano/meltano.yml."""

import os
from pathlib import Path

from dag_factory import build_airflow_dags

default_root = Path(__file__).parents[1] / "meltano"
globals().update(build_airflow_dags(os.environ.get("MELTANO_PROJECT_ROOT", default_root)))
