"""Warnings that stop no job, and how problems are silenced and shown."""
