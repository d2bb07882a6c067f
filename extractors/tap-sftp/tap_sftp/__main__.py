"""Run the tap with `python -m tap_sftp`."""

from tap_sftp.tap import TapSftp

TapSftp.cli()
