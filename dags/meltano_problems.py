"""Airflow shows as this file's import error which Meltano jobs have no DAG, and why."""

import os
from pathlib import Path

from dag_factory import raise_project_problems

beside = Path(__file__).parents[1] / "meltano"
raise_project_problems(os.environ.get("MELTANO_PROJECT_ROOT", beside))
