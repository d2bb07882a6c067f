"""The programs that run in a task's pod.

Modules:
    meltano_task   the entrypoint: compare the image with the DAG, read secrets, run Meltano
    meltano_state  list, show, copy and clear Meltano's state; also on a worker and in a terminal
    release_lock   release the lock of a killed run, with the Python that Meltano is installed in
"""
