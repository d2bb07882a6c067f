"""`annotations: {airflow: ...}`: every option, how its value is read, and where it may be set."""
