"""Columns, and what several streams share of them."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

STRING = th.StringType
INTEGER = th.IntegerType
NUMBER = th.NumberType
BOOLEAN = th.BooleanType
DATE = th.DateType
DATE_TIME = th.DateTimeType


def column(name: str, kind: Any, description: str) -> th.Property[Any]:
    """Return a column that may be empty."""
    return th.Property(name, kind, description=description)


def key(name: str, kind: Any, description: str) -> th.Property[Any]:
    """Return a column that every row fills."""
    return th.Property(name, kind, required=True, nullable=False, description=description)


def reference(name: str, what: str) -> tuple[th.Property[Any], th.Property[Any]]:
    """Return the two columns of something that a row refers to."""
    return (
        column(f"{name}_id", INTEGER, f"Id of {what}"),
        column(f"{name}_name", STRING, f"Name of {what}"),
    )


ID = key("id", INTEGER, "Redmine's number of the row")
NAME = column("name", STRING, "Name in the web page")
ACTIVE = column("active", BOOLEAN, "Whether it can be chosen")
IS_DEFAULT = column("is_default", BOOLEAN, "Whether it is chosen unless somebody chooses another")
CREATED_ON = column("created_on", DATE_TIME, "When it was made")
UPDATED_ON = column("updated_on", DATE_TIME, "When it was last changed")
READ_AT = key(
    "read_at",
    DATE_TIME,
    "When the sync that read this row began, on the tap's clock. A row with an older read_at than "
    "the stream's latest is gone from Redmine, or hidden from the key's user",
)
CUSTOM_FIELDS = column(
    "custom_fields",
    th.ArrayType(
        th.ObjectType(
            column("id", INTEGER, "Id of the field"),
            column("name", STRING, "Name of the field"),
            column("values", th.ArrayType(STRING), "Its values as Redmine writes them, or none"),
        )
    ),
    "Custom fields that the key's user may see",
)
