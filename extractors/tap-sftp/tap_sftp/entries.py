"""The setting `files`: what each entry means, and what may be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tap_sftp.values import Converter, converter

FILE, ROW, MODIFIED, EXTRA = "_file", "_row", "_modified", "_extra"
OWN_COLUMNS = (FILE, ROW, MODIFIED, EXTRA)
"""The columns that the tap adds to those of the file."""

OF_FORMAT = {
    "csv": {"delimiter", "decimal", "encoding", "header_row"},
    "fixed_width": {"decimal", "encoding", "line_pattern"},
    "xlsx": {"decimal", "header_row", "sheet"},
    "xml": {"decimal", "record"},
}
"""Which of the options mean something to a format."""

OF_COLUMN = {"fixed_width": ("start", "width"), "xml": ("path",)}
"""What a format must know of each column."""

_OPTIONS = set().union(*OF_FORMAT.values())
_COLUMN_OPTIONS = {option for options in OF_COLUMN.values() for option in options}


@dataclass(frozen=True)
class Column:
    """A column, and where in a row it is."""

    name: str
    type: str = "string"
    start: int = 0
    width: int = 0
    decimals: int = 0
    path: str = ""


@dataclass(frozen=True)
class Entry:
    """Files that are one stream."""

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
        """Return an entry of the setting, if it has no problems."""
        given = {**config, "columns": tuple(Column(**each) for each in config.get("columns", ()))}
        if keys := config.get("primary_keys"):
            given["primary_keys"] = tuple(keys)
        return cls(**given)

    @property
    def has_header(self) -> bool:
        """Whether the files themselves tell their columns."""
        return self.format in {"csv", "xlsx"} and self.header_row > 0

    @cached_property
    def types(self) -> dict[str, str]:
        """The types of the columns of the setting."""
        return {column.name: column.type for column in self.columns}

    def converters(self, names: Sequence[str]) -> dict[str, Converter]:
        """Return what makes values of columns; those that the setting lacks are text."""
        known = {column.name: column for column in self.columns}
        columns = [known.get(name) or Column(name) for name in names]
        return {
            each.name: converter(each.type, decimal=self.decimal, decimals=each.decimals)
            for each in columns
        }


def problems(entry: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an entry that has the right shape."""
    kind = entry["format"]
    for option in sorted(_OPTIONS & entry.keys() - OF_FORMAT[kind]):
        yield f"{option} means nothing to {kind}; remove it"
    if kind == "xml" and not entry.get("record"):
        yield "set record to the path of the elements that are rows, as in Document/Stmt/Ntry"
    if _is_told(entry) and not entry.get("columns"):
        yield "set columns: the files themselves do not name them"
    for column in entry.get("columns", []):
        yield from _column_problems(column, kind)
    yield from _name_problems(entry)
    yield from _text_problems(entry)


def _is_told(entry: dict[str, Any]) -> bool:
    """Return whether the settings, and not the files, name the columns."""
    return entry["format"] in OF_COLUMN or entry.get("header_row") == 0


def _name_problems(entry: dict[str, Any]) -> Iterator[str]:
    names = [column["name"] for column in entry.get("columns", [])]
    keys = {*entry.get("primary_keys", ())}
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"column {name} is there twice"
    for name in sorted({*names} & {*OWN_COLUMNS}):
        yield f"column {name} has a name that the tap uses itself"
    for name in sorted(keys - {*names, *OWN_COLUMNS} if _is_told(entry) else keys & {EXTRA}):
        yield f"{name} of primary_keys is not in columns"


def _column_problems(column: dict[str, Any], kind: str) -> Iterator[str]:
    name, needs = column["name"], OF_COLUMN.get(kind, ())
    for option in needs:
        if option not in column:
            yield f"column {name} needs {option}"
    for option in sorted(_COLUMN_OPTIONS & column.keys() - {*needs}):
        yield f"column {name}: {option} means nothing to {kind}; remove it"
    if column.get("type") == "strings" and kind != "xml":
        yield f"column {name}: strings is a type of xml only"


def _text_problems(entry: dict[str, Any]) -> Iterator[str]:
    try:
        "".encode(entry.get("encoding", "utf-8"))
    except LookupError:
        yield "encoding is unknown; it must be like utf-8, latin-1 or cp1252"
    try:
        re.compile(entry.get("line_pattern", ""))
    except re.error as error:
        yield f"line_pattern is no regular expression: {error}"
