"""Columns: their names, and the attributes from which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from singer_sdk import typing as th

from tap_ldap.values import first_text, identity, texts, utc_time

STRINGS = th.ArrayType(th.StringType)


@dataclass(frozen=True)
class Column:
    """A column of a stream.

    Attributes:
        name: Its name.
        attributes: The attributes with its value; the first one that an entry has is used.
        description: Its description in the schema.
        kind: Its JSON Schema type.
        read: Converts an attribute's values to its value.
    """

    name: str
    attributes: tuple[str, ...]
    description: str
    kind: Any = th.StringType
    read: Callable[[list[bytes]], Any] = first_text

    def value(self, found: dict[str, list[bytes]]) -> Any:
        """Return its value for an entry; None if the entry has none of the attributes."""
        for attribute in self.attributes:
            if values := found.get(attribute.lower()):
                return self.read(values)
        return None


ID = Column(
    "id",
    ("entryUUID", "objectGUID"),
    "Permanent ID of the entry: entryUUID or objectGUID. A DN changes when its entry moves",
    read=identity,
)
CREATED_AT = Column(
    "created_at",
    ("createTimestamp", "whenCreated"),
    "When the entry was created",
    th.DateTimeType,
    utc_time,
)
# OpenLDAP's entryCSN is the same time with microseconds.
MODIFIED_AT = Column(
    "modified_at",
    ("entryCSN", "modifyTimestamp", "whenChanged"),
    "When the entry was last changed, on the directory's clock",
    th.DateTimeType,
    utc_time,
)
OBJECT_CLASSES = Column("object_classes", ("objectClass",), "Classes of the entry", STRINGS, texts)
DN = th.Property("dn", th.StringType, description="Current DN of the entry")
READ_AT = th.Property(
    "read_at",
    th.DateTimeType,
    description="When the sync that read this row began, on the tap's clock",
)


def schema_of(
    columns: Iterable[Column], keys: Iterable[str], *others: th.Property[Any]
) -> dict[str, Any]:
    """Return the JSON Schema of a stream."""
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
