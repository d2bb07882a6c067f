"""Meltano as a child process: start it, read its log, stop it, and sum up its result."""
