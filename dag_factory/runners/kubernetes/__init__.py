"""Runs a task as a Kubernetes pod."""
