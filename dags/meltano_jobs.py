"""Airflow DAGs: one per job in meltano/meltano.yml."""

import os
from pathlib import Path

from dag_factory import build_airflow_dags

beside = Path(__file__).parents[1] / "meltano"
globals().update(build_airflow_dags(os.environ.get("MELTANO_PROJECT_ROOT", beside)))
