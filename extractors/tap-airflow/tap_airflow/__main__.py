"""`python -m tap_airflow`, for where the executable is not on the path."""

from tap_airflow.tap import TapAirflow

TapAirflow.cli()
