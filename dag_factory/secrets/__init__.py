"""The secrets of a task, read when it starts; only `aws` uses boto3.

Modules:
    aws             AWS Secrets Manager: read, write, and what went wrong
    values          the environment variables that a task gets from its secrets
    masking         what `***` hides in logs and errors
    unread_keys     keys of a secret that nothing reads, such as misspelt settings
    task_variables  all variables of a task's process, and which values its log must not show
"""
