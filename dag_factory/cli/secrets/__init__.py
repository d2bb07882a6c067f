"""`meltano-dags secrets`: the secrets that a project needs, and whether they exist.

Modules:
    commands  the commands and what they print
    needs     `plan`: which secrets an environment needs, and the state of each
    push      `push`: what is written, and what that changes
    doctor    `doctor`: what a role is not allowed to read
"""
