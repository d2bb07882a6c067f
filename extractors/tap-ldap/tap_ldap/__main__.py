"""`python -m tap_ldap`, for where the executable is not on the path."""

from tap_ldap.tap import TapLDAP

TapLDAP.cli()
