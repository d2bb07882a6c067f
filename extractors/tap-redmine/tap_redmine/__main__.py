"""`python -m tap_redmine`, for where the executable is not on the path."""

from tap_redmine.tap import TapRedmine

TapRedmine.cli()
