"""Airflow shows as this file's import error which Meltano jobs have no DAG, and why."""

from pathlib import Path

from dag_factory import raise_project_problems

raise_project_problems(Path(__file__).parents[1] / "meltano")
