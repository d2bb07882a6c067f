"""The tap: its settings and its streams."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError

from tap_ldap import streams
from tap_ldap.client import EntryStream
from tap_ldap.directory import Directory
from tap_ldap.faults import DirectoryError
from tap_ldap.settings import problems


class TapLDAP(Tap):
    """Reads people, groups and memberships from an LDAP directory."""

    name = "tap-ldap"
    package_name = "tap-ldap"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "url",
            th.StringType,
            required=True,
            title="URL",
            description="Address of the directory: ldaps://ldap.example.org, or ldap://... for "
            "StartTLS; append :PORT unless it is the default port",
        ),
        th.Property(
            "start_tls",
            th.BooleanType,
            default=True,
            title="StartTLS",
            description="Encrypt ldap:// connections before the password is sent",
        ),
        th.Property(
            "ca_file",
            th.StringType,
            title="CA file",
            description="PEM file with the directory's certificate authority, unless the system "
            "trusts it already",
        ),
        th.Property(
            "bind_dn",
            th.StringType,
            title="Bind DN",
            description="DN of the account that reads, such as cn=reader,dc=example,dc=org; "
            "anonymous if not set",
        ),
        th.Property(
            "password",
            th.StringType,
            secret=True,
            title="Password",
            description="Password of bind_dn",
        ),
        th.Property(
            "base_dn",
            th.StringType,
            required=True,
            title="Base DN",
            description="Entries below this DN are read, for example dc=example,dc=org",
        ),
        th.Property(
            "people_filter",
            th.StringType,
            default="(|(objectClass=person)(objectClass=posixAccount))",
            title="People filter",
            description="LDAP filter of the entries that are people; in Active Directory "
            "(&(objectCategory=person)(objectClass=user))",
        ),
        th.Property(
            "groups_filter",
            th.StringType,
            default="(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)"
            "(objectClass=posixGroup)(objectClass=group))",
            title="Groups filter",
            description="LDAP filter of the entries that are groups",
        ),
        th.Property(
            "attributes",
            th.ArrayType(th.StringType),
            default=[],
            title="Additional attributes",
            description="Attributes that become additional columns of people and groups, with all "
            "their values; binary values in base64. Password hashes cannot be read",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1),
            default=500,
            title="Page size",
            description="Entries per page; Active Directory returns at most 1000",
        ),
    ).to_dict()

    @cached_property
    def directory(self) -> Directory:
        """The directory that all streams read."""
        return Directory(self.config)

    def discover_streams(self) -> list[EntryStream]:
        """Return the three streams, without a connection."""
        return [
            streams.PeopleStream(self),
            streams.GroupsStream(self),
            streams.MembershipsStream(self),
        ]

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run the tap; log an error that stops it as one line, not as a traceback."""
        try:
            super().invoke(**kwargs)
        except DirectoryError as error:
            cls.logger.critical("%s", error)
            sys.exit(1)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=False)
        # The SDK's messages quote the value that they reject.
        if value := self.config.get("password"):
            errors = [error.replace(repr(value), "***") for error in errors]
        errors = errors or problems(self.config)
        if errors and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=errors, schema=self.config_jsonschema
            )
        return errors
