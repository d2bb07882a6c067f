"""Turns plans into Airflow DAGs.

The DAG processor runs this package, and so does a worker to build the DAG of its task. Parts of it
also run elsewhere:

    timetables           in the scheduler and the API server too, which otherwise only read
                         serialised DAGs
    alerts, alert_mail   in a worker when a task fails, in the DAG processor when the worker died,
                         in the triggerer when a run misses its deadline
"""
