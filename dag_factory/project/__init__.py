"""A Meltano project as Meltano loads it, as frozen data.

Modules:
    model              jobs, schedules, environments; `read_project`
    plugins            plugins, their settings and commands, inheritance, lock files
    validation         the entries for which Meltano rejects the whole project
    task_grammar       what each word of a job's `tasks` means, and which words belong together
    option_precedence  which annotations apply to a job or to a task
    digests            a digest of what a task needs, to compare an image with a DAG
"""
