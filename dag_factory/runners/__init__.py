"""Runs a task: in an Airflow worker, or in a pod that the worker starts."""
