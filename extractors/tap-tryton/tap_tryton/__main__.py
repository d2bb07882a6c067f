"""Run the tap with `python -m tap_tryton`."""

from tap_tryton.tap import TapTryton

TapTryton.cli()
