"""The three streams: their names, keys and columns.

RFC 4519 and RFC 2798 define the attributes of people, RFC 2307 those of Unix accounts and groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_ldap.client import EntryStream
from tap_ldap.columns import (
    CREATED_AT,
    DN,
    ID,
    MODIFIED_AT,
    OBJECT_CLASSES,
    READ_AT,
    STRINGS,
    Column,
    schema_of,
)
from tap_ldap.values import base64_texts, integer, texts

if TYPE_CHECKING:
    from tap_ldap.tap import TapLDAP

MEMBER_ATTRIBUTES = ("member", "uniqueMember", "memberUid")


class NamedEntryStream(EntryStream):
    """Entries with one row each, and with the columns that the setting attributes adds."""

    primary_keys = ("id",)
    own_columns: tuple[Column, ...]

    def __init__(self, tap: TapLDAP) -> None:
        own = {each.name for each in self.own_columns} | {DN.name, READ_AT.name}
        more = {name.lower(): name for name in tap.config["attributes"]}
        self.columns = (
            *self.own_columns,
            *(
                Column(name, (name,), f"All values of {name}", STRINGS, texts)
                for lower, name in more.items()
                if lower not in own
            ),
        )
        super().__init__(tap, schema=schema_of(self.columns, self.primary_keys, DN, READ_AT))

    def wanted_columns(self) -> list[Column]:
        """Return the selected columns; those with binary values are read as base64."""
        columns = super().wanted_columns()
        names = [each.name for each in columns if each not in self.own_columns]
        binary = self.directory.binary_among(names) if names else ()
        return [
            replace(each, read=base64_texts) if each.name in binary else each for each in columns
        ]

    def rows(self, dn: str, found: dict[str, list[bytes]]) -> Iterable[dict[str, Any]]:
        """Return the one row of an entry."""
        return [{**self.wanted_values(dn, found), "dn": dn}]


class PeopleStream(NamedEntryStream):
    """The people."""

    name = "people"
    filter_setting = "people_filter"
    own_columns = (
        ID,
        Column("username", ("uid", "sAMAccountName"), "Login name"),
        Column("name", ("cn",), "Full name"),
        Column("display_name", ("displayName",), "Name to display"),
        Column("given_name", ("givenName",), "Given name"),
        Column("family_name", ("sn",), "Family name"),
        Column("mail", ("mail",), "The first mail address"),
        Column("mails", ("mail",), "All mail addresses", STRINGS, texts),
        Column("phone", ("telephoneNumber",), "The first telephone number"),
        Column("mobile", ("mobile",), "The first mobile number"),
        Column("title", ("title",), "Title or position"),
        Column("department", ("departmentNumber", "department"), "Department"),
        Column("organization", ("o", "company"), "Organization or company"),
        Column("location", ("l",), "City"),
        Column("employee_number", ("employeeNumber", "employeeID"), "Employee number"),
        Column("employee_type", ("employeeType",), "Type of employment"),
        Column("manager", ("manager",), "DN of the manager"),
        Column("uid_number", ("uidNumber",), "Unix user ID", th.IntegerType, integer),
        Column("gid_number", ("gidNumber",), "ID of the main Unix group", th.IntegerType, integer),
        OBJECT_CLASSES,
        CREATED_AT,
        MODIFIED_AT,
    )


class GroupsStream(NamedEntryStream):
    """The groups, without their members."""

    name = "groups"
    filter_setting = "groups_filter"
    own_columns = (
        ID,
        Column("name", ("cn",), "Name"),
        Column("description", ("description",), "Description of the group"),
        Column("mail", ("mail",), "The first mail address"),
        Column("owners", ("owner", "managedBy"), "DNs of the owners", STRINGS, texts),
        Column("gid_number", ("gidNumber",), "Unix group ID", th.IntegerType, integer),
        OBJECT_CLASSES,
        CREATED_AT,
        MODIFIED_AT,
    )


class MembershipsStream(EntryStream):
    """The members of the groups, one row each; all members of a group when it has changed.

    A row has the time at which its group was last changed. If the row of the group has a later
    time, the member has been removed.
    """

    name = "memberships"
    filter_setting = "groups_filter"
    primary_keys = ("group_id", "member")
    columns = (
        replace(ID, name="group_id", description="ID of the group"),
        replace(MODIFIED_AT, description="When the group was last changed"),
    )
    schema = schema_of(
        columns,
        primary_keys,
        th.Property(
            "member",
            th.StringType,
            required=True,
            nullable=False,
            description="DN of a person or a group; a login name if attribute is memberUid",
        ),
        th.Property(
            "attribute",
            th.StringType,
            description="Attribute that lists the member: " + ", ".join(MEMBER_ATTRIBUTES),
        ),
        READ_AT,
    )

    def attributes(self) -> list[str]:
        """Return the attributes to request, including those of members."""
        return [*super().attributes(), *MEMBER_ATTRIBUTES]

    def rows(self, dn: str, found: dict[str, list[bytes]]) -> Iterable[dict[str, Any]]:
        """Yield a row for each member of a group."""
        group = self.wanted_values(dn, found)
        members = {
            member: attribute
            for attribute in MEMBER_ATTRIBUTES
            for member in texts(found.get(attribute.lower(), []))
        }
        for member, attribute in members.items():
            yield {**group, "member": member, "attribute": attribute}
