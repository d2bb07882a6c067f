"""`python -m tap_tryton`, for where the executable is not on the path."""

from tap_tryton.tap import TapTryton

TapTryton.cli()
