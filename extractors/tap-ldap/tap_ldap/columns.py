"""Columns: what they are called, and from which attributes they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from singer_sdk import typing as th

from tap_ldap.values import identity, moment, text, texts

STRINGS = th.ArrayType(th.StringType)


@dataclass(frozen=True)
class Column:
    """A column of a stream.

    Attributes:
        name: Its name.
        attributes: Where its value is; of several, the first that an entry has.
        description: What it tells.
        kind: Its JSON schema type.
        read: Makes its value of an attribute's values.
    """

    name: str
    attributes: tuple[str, ...]
    description: str
    kind: Any = th.StringType
    read: Callable[[list[bytes]], Any] = text

    def value(self, found: dict[str, list[bytes]]) -> Any:
        """Return its value for an entry, None if the entry has none of the attributes."""
        for attribute in self.attributes:
            if values := found.get(attribute.lower()):
                return self.read(values)
        return None


ID = Column(
    "id",
    ("entryUUID", "objectGUID"),
    "Identifies the entry for good: entryUUID, or objectGUID. A DN changes when its entry moves",
    read=identity,
)
CREATED_AT = Column(
    "created_at",
    ("createTimestamp", "whenCreated"),
    "When the entry was made",
    th.DateTimeType,
    moment,
)
# OpenLDAP's entryCSN is the same moment to the microsecond.
MODIFIED_AT = Column(
    "modified_at",
    ("entryCSN", "modifyTimestamp", "whenChanged"),
    "When the entry was last changed, on the directory's clock",
    th.DateTimeType,
    moment,
)
OBJECT_CLASSES = Column("object_classes", ("objectClass",), "Classes of the entry", STRINGS, texts)
DN = th.Property("dn", th.StringType, description="Where the entry is now")
READ_AT = th.Property(
    "read_at",
    th.DateTimeType,
    description="When the sync that read this row began, on the clock of the tap",
)


def schema_of(
    columns: Iterable[Column], keys: Iterable[str], *others: th.Property[Any]
) -> dict[str, Any]:
    """Return the JSON schema of a stream."""
    return th.PropertiesList(
        *(
            th.Property(
                each.name,
                each.kind,
                required=each.name in keys,
                nullable=each.name not in keys,
                description=each.description,
            )
            for each in columns
        ),
        *others,
    ).to_dict()
