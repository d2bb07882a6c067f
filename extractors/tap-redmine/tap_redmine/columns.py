"""How columns are declared, and the columns that several streams share."""

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
    """Declare a column that may be null."""
    return th.Property(name, kind, description=description)


def key(name: str, kind: Any, description: str) -> th.Property[Any]:
    """Declare a column that is never null."""
    return th.Property(name, kind, required=True, nullable=False, description=description)


def reference(name: str, what: str) -> tuple[th.Property[Any], th.Property[Any]]:
    """Declare the columns for the ID and the name of an object that a row refers to."""
    return (
        column(f"{name}_id", INTEGER, f"ID of {what}"),
        column(f"{name}_name", STRING, f"Name of {what}"),
    )


ID = key("id", INTEGER, "Redmine's ID of the row")
NAME = column("name", STRING, "Name in the web interface")
ACTIVE = column("active", BOOLEAN, "Whether users can select it")
IS_DEFAULT = column("is_default", BOOLEAN, "Whether it is selected by default")
CREATED_ON = column("created_on", DATE_TIME, "When it was created")
UPDATED_ON = column("updated_on", DATE_TIME, "When it was last changed")
READ_AT = key(
    "read_at",
    DATE_TIME,
    "When the sync that read this row began, on the tap's clock. A row with an older read_at than "
    "the stream's latest sync was deleted from Redmine, or the key's user may no longer see it",
)
CUSTOM_FIELDS = column(
    "custom_fields",
    th.ArrayType(
        th.ObjectType(
            column("id", INTEGER, "ID of the field"),
            column("name", STRING, "Name of the field"),
            column("values", th.ArrayType(STRING), "Its values in Redmine's format; may be empty"),
        )
    ),
    "Custom fields that the key's user may see",
)
