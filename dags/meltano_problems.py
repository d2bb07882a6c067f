"""Shows, as an import error in Airflow, which Meltano jobs have no DAG, and why."""

import os
from pathlib import Path

from dag_factory import raise_project_problems

default_root = Path(__file__).parents[1] / "meltano"
raise_project_problems(os.environ.get("MELTANO_PROJECT_ROOT", default_root))
