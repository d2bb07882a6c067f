"""Operators: a task runs as a process of an Airflow worker, or in a pod that it starts."""
