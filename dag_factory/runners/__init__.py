"""How a task is executed: each module turns a `TaskPlan` into an Airflow operator."""
