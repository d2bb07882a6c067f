"""Runs a task as a Kubernetes pod.

Modules:
    operator      the operator; it imports Airflow's KubernetesPodOperator when the task runs
    pod           start, find again, stop and delete a pod; read the summary of its run
    pod_spec      the pod: its containers, volumes, environment variables and security context
    pod_failures  why a pod failed, and what to change; whether a retry can help
    old_pods      when the pod of a failed task is removed
"""
