"""Runs a task as a process of the Airflow worker."""
