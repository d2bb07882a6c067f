"""The command line `meltano-dags`, for a terminal and for CI.

Modules:
    main            the commands and their options
    __main__        `python -m dag_factory.cli`
    listing         `list` and `show`
    graph           `graph`: Mermaid, SVG, PNG
    json_schema     `schema`: a JSON Schema of meltano.yml for editors
    check_airflow   `check --airflow`: what only a running Airflow knows
    check_pod_keys  `check --airflow`: keys of `pod_override` that Kubernetes does not know
    secrets         `secrets`: plan, push, doctor
"""
