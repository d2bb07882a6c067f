"""`python -m tap_imap`, for where the executable is not on the path."""

from tap_imap.tap import TapImap

TapImap.cli()
