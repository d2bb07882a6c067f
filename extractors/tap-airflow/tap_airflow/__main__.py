"""Run the tap with `python -m tap_airflow`."""

from tap_airflow.tap import TapAirflow

TapAirflow.cli()
