"""The options in `annotations: {airflow: ...}`: names, values and precedence.

Modules:
    catalog       every option: its default, the places where it is allowed, its JSON Schema
    annotations   reads the options of one place; combines places in the order it is given
    kinds         the kinds of value: each with its reader and its JSON Schema
    values        how the value of an option is read
    times         durations, dates and time zones: how they are read and written
    pod_values    the same for the options of pods
    pod_merge     how two parts of a pod are merged, as Kubernetes does
    expectations  the option `expect`: what a run must have loaded
"""
