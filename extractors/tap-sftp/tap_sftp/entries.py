"""The setting `files`: its entries, and checks of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tap_sftp.values import Converter, converter

FILE, ROW, MODIFIED, EXTRA = "_file", "_row", "_modified", "_extra"
OWN_COLUMNS = (FILE, ROW, MODIFIED, EXTRA)
"""The columns that the tap adds to the columns of a file."""

FORMAT_OPTIONS = {
    "csv": {"delimiter", "decimal", "encoding", "header_row"},
    "fixed_width": {"decimal", "encoding", "line_pattern"},
    "xlsx": {"decimal", "header_row", "sheet"},
    "xml": {"decimal", "record"},
}
"""The options that apply to a format."""

REQUIRED_COLUMN_OPTIONS = {"fixed_width": ("start", "width"), "xml": ("path",)}
"""The options that a format requires for each column."""

_OPTIONS = set().union(*FORMAT_OPTIONS.values())
_COLUMN_OPTIONS = {option for options in REQUIRED_COLUMN_OPTIONS.values() for option in options}


@dataclass(frozen=True)
class Column:
    """A column and its position in a row."""

    name: str
    type: str = "string"
    start: int = 0
    width: int = 0
    decimals: int = 0
    path: str = ""


@dataclass(frozen=True)
class Entry:
    """An entry of the setting `files`: the files of one stream."""

    name: str
    path: str
    format: str
    columns: tuple[Column, ...] = ()
    primary_keys: tuple[str, ...] = (FILE, ROW)
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    header_row: int = 1
    line_pattern: str = ""
    sheet: str = ""
    record: str = ""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Entry:
        """Return the entry for an item of the setting that has no problems."""
        given = {**config, "columns": tuple(Column(**each) for each in config.get("columns", ()))}
        if keys := config.get("primary_keys"):
            given["primary_keys"] = tuple(keys)
        return cls(**given)

    @property
    def has_header(self) -> bool:
        """Whether the files themselves name their columns."""
        return self.format in {"csv", "xlsx"} and self.header_row > 0

    @cached_property
    def types(self) -> dict[str, str]:
        """The types of the columns in the setting."""
        return {column.name: column.type for column in self.columns}

    def converters(self, names: Sequence[str]) -> dict[str, Converter]:
        """Return the converters of columns; columns that are not in the setting are text."""
        known = {column.name: column for column in self.columns}
        columns = [known.get(name) or Column(name) for name in names]
        return {
            each.name: converter(each.type, decimal=self.decimal, decimals=each.decimals)
            for each in columns
        }


def problems(entry: dict[str, Any]) -> Iterator[str]:
    """Yield the problems of an entry that conforms to the schema."""
    kind = entry["format"]
    for option in sorted(_OPTIONS & entry.keys() - FORMAT_OPTIONS[kind]):
        yield f"{option} does not apply to format {kind}; remove it"
    if kind == "xml" and not entry.get("record"):
        yield "set record to the path of the elements that are rows, such as Document/Stmt/Ntry"
    if _settings_name_columns(entry) and not entry.get("columns"):
        yield "set columns: the files do not name them"
    for column in entry.get("columns", []):
        yield from _column_problems(column, kind)
    yield from _name_problems(entry)
    yield from _text_problems(entry)


def _settings_name_columns(entry: dict[str, Any]) -> bool:
    """Return whether the settings name the columns rather than the files."""
    return entry["format"] in REQUIRED_COLUMN_OPTIONS or entry.get("header_row") == 0


def _name_problems(entry: dict[str, Any]) -> Iterator[str]:
    names = [column["name"] for column in entry.get("columns", [])]
    keys = {*entry.get("primary_keys", ())}
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"column {name} is in columns more than once"
    for name in sorted({*names} & {*OWN_COLUMNS}):
        yield f"column {name} has a name that is reserved for a column of the tap"
    unknown = keys - {*names, *OWN_COLUMNS} if _settings_name_columns(entry) else keys & {EXTRA}
    for name in sorted(unknown):
        yield f"primary_keys: {name} is not in columns"


def _column_problems(column: dict[str, Any], kind: str) -> Iterator[str]:
    name, required = column["name"], REQUIRED_COLUMN_OPTIONS.get(kind, ())
    for option in required:
        if option not in column:
            yield f"column {name}: set {option}, which format {kind} requires"
    for option in sorted(_COLUMN_OPTIONS & column.keys() - {*required}):
        yield f"column {name}: {option} does not apply to format {kind}; remove it"
    if column.get("type") == "strings" and kind != "xml":
        yield f"column {name}: type strings is for format xml only"


def _text_problems(entry: dict[str, Any]) -> Iterator[str]:
    try:
        "".encode(entry.get("encoding", "utf-8"))
    except LookupError:
        yield "encoding is unknown; it must be like utf-8, latin-1 or cp1252"
    try:
        re.compile(entry.get("line_pattern", ""))
    except re.error as error:
        yield f"line_pattern is not a regular expression: {error}"
