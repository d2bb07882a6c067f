"""Run the tap with `python -m tap_redmine`."""

from tap_redmine.tap import TapRedmine

TapRedmine.cli()
