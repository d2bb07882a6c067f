"""Runs a task as a process of the Airflow worker.

Modules:
    operator       the operator: secrets, Meltano, masked log lines, the end of the task
    private_files  folders for Meltano's files that only the worker's user can read
"""
