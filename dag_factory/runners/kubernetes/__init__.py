"""Runs a task in a Kubernetes pod."""
