"""The platform of this repository on one machine: `python -m local_platform up`.

The commands work on the checkout in the current folder. The Makefile runs them from there.

Modules:
    __main__        the command line
    machine         what `up`, `down` and `clean` do, step by step
    steps           the steps that `up` and `kube-up` share
    kube            `kube-up` and `kube-down`: tasks in pods
    airflow_server  Airflow's processes and files
    airflow_config  Airflow's configuration, from the template airflow.cfg
    airflow_api     Airflow's REST API
    console         what the commands print, and how they wait
    ports           whether a port is free
    subprocesses    runs other commands, and holds the lock of a checkout
    private_files   files that only their owner can read
    warehouse_rows  counts the rows of a DuckDB warehouse, also in a pod
"""
