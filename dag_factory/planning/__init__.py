"""Turns a project into plans: frozen data that says what Airflow runs.

Modules:
    planned_project  `read_and_plan`: a project, the plans of its DAGs and all of its problems
    plan             `DagPlan`, `TaskPlan`, `SchedulePlan`
    planner          which jobs can run, and the problems of those that cannot
    tasks            the tasks of a job, and their order
    schedules        which schedules can fire, and when
    dependencies     the option `after`: which job runs after which
    secret_names     the names of the secrets that a task reads
    state_dag_plan   the plan of `meltano_state`, the DAG for Meltano's state
"""
