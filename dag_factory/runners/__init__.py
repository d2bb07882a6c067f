"""Runs a task: as a process of an Airflow worker, or as a pod that the worker starts.

Modules:
    factory             which runner a task gets
    prepare             the command and the environment variables of one run
    trigger_form        the form behind the trigger button, and the variables its values become
    outcome             how a task ends: done, skipped, failed for good, or retried
    unreadable_project  the task of a DAG that can no longer be read: it fails and says why
    local               Meltano as a process of the worker
    kubernetes          Meltano as a pod
"""
