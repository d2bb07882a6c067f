"""Meltano as a child process of a worker or of a pod's entrypoint.

Modules:
    process  start it without a shell, read its lines, stop it with its plugins
    log      its JSON log: levels, the last error, the number of rows
    result   the summary of a run, small enough for a pod's termination message
"""
