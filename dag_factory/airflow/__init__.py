"""Turns plans into Airflow DAGs, in the DAG processor and in a worker that runs one of them.

The scheduler and the API server run timetables too. Alerts run in a worker when its task fails, in
the DAG processor when the worker died, and in the triggerer when a run misses its deadline.

Modules:
    build       the DAGs; one that Airflow rejects is left out and reported
    arguments   options as arguments of Airflow's DAG and operators
    schedules   the schedule of a DAG, and the assets that it updates
    timetables  `MeltanoTimetable`, for schedules that differ in `env` or time zone
    state_dag   `meltano_state`, the DAG for Meltano's state
    plan_cache  plans on disk: an unchanged project is not read again; the last good plan
    alerts      who is notified of a failure, a retry or a missed deadline
    alert_mail  what a mail says
"""
