"""Run the tap with `python -m tap_imap`."""

from tap_imap.tap import TapImap

TapImap.cli()
