"""`meltano-dags secrets`: the secrets that a project needs, and whether they exist.

Modules:
    commands       the commands
    needs          `plan`: which secrets an environment needs, and the state of each
    report_output  `plan`: what it prints
    push           `push`: what is written, and what that changes
    new_values     `push`: the new values, from a file, the environment or a prompt
    doctor         `doctor`: what a role is not allowed to read
"""
