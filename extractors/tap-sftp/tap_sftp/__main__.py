"""`python -m tap_sftp`, for where the executable is not on the path."""

from tap_sftp.tap import TapSftp

TapSftp.cli()
