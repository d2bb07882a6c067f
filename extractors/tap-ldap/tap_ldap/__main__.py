"""Run the tap with `python -m tap_ldap`."""

from tap_ldap.tap import TapLDAP

TapLDAP.cli()
