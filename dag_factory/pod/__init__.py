"""The programs that run in the pod of a task."""
