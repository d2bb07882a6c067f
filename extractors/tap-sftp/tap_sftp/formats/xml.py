"""XML documents, of which some elements are rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from tap_sftp.entries import Column, Entry
from tap_sftp.errors import BadFileError, BadRowError

CHUNK = 2**16
"""Bytes that are parsed at a time."""

LARGEST = 2**26
"""Bytes of one row; one without an end must not fill the memory."""


def read_rows(file: IO[bytes], entry: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the elements that the path `record` leads to, by their order."""
    rows = _RowBuilder(entry)
    parser = DefusedXMLParser(target=rows)
    held = 0
    try:
        while chunk := file.read(CHUNK):
            parser.feed(chunk)
            held = 0 if rows.released else held + len(chunk)
            if held > LARGEST:
                raise BadFileError(
                    f"has an element of over {LARGEST // 2**20} MB; is record right?"
                )
            yield from rows.take()
        parser.close()
    except DefusedXmlException:
        what = "declares XML entities, which may be an attack and are not read"
        raise BadFileError(f"{what}; ask the sender for a file without a DTD") from None
    except ParseError as error:
        where = f"line {error.position[0]}, after record {rows.number}"
        raise BadFileError(f"is no well-formed XML in {where}") from None
    except (LookupError, ValueError):
        # The parser says so of an encoding that it does not know.
        raise BadFileError("is in an encoding that XML parsers do not know") from None


class _RowBuilder:
    """Builds the elements that rows need, and forgets each as soon as it has been used.

    It is told of each start and end at once, so that a row cannot see what comes after it.

    Args:
        entry: Which elements are rows, and where their columns are.
    """

    def __init__(self, entry: Entry) -> None:
        self.number = 0
        self.released = False
        self._rows: list[tuple[int, dict[str, Any]]] = []
        self._path = entry.record.strip("/").split("/")
        self._getters = [(column.name, _getter(column)) for column in entry.columns]
        around = (column.path.split("/") for column in entry.columns if ".." in column.path)
        self._kept = {next(step for step in steps if step != "..") for steps in around}
        self._parents: list[Element] = []
        self._matched = 0
        self._builder = TreeBuilder()
        self.data = self._builder.data

    def take(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the rows since the last time."""
        rows, self._rows, self.released = self._rows, [], False
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Note on what way the parser is."""
        on_the_way = self._matched == len(self._parents) < len(self._path)
        if on_the_way and _local(tag) == self._path[self._matched]:
            self._matched += 1
        self._parents.append(self._builder.start(tag, attributes))

    def end(self, tag: str) -> None:
        """Make a row if one ends, and forget what no row needs."""
        element = self._builder.end(tag)
        self._parents.pop()
        parents, depth, matched = self._parents, len(self._parents), self._matched
        if matched == len(self._path) <= depth:
            return
        if matched == len(self._path) == depth + 1:
            self._add_row(element)
        # Of what is beside the way to the rows, only what their columns ask for stays.
        beside = (*parents[matched:], element)[0].tag if depth >= matched else ""
        if parents and _local(beside) not in self._kept:
            parents[-1].remove(element)
        self._matched = min(matched, depth)
        self.released = True

    def close(self) -> None:
        """Do nothing: the rows were made on the way."""

    def _add_row(self, record: Element) -> None:
        self.number += 1
        try:
            row = {name: get(record, self._parents) for name, get in self._getters}
        except ValueError as error:
            raise BadRowError(self.number, str(error)) from None
        self._rows.append((self.number, row))


def _local(tag: str) -> str:
    """Return a name without its namespace."""
    return tag.rpartition("}")[2]


def _getter(column: Column) -> Callable[[Element, list[Element]], Any]:
    """Return what finds a column's value from a record."""
    steps = column.path.split("/")
    ups = steps.count("..")
    steps = [step for step in steps if step not in {"..", "."}]
    attribute = steps.pop()[1:] if steps and steps[-1].startswith("@") else ""
    below = "/".join(f"{{*}}{step}" for step in steps)

    def get(record: Element, parents: list[Element]) -> Any:
        start = parents[-ups] if ups else record
        found = start.findall(below) if below else [start]
        values = [
            element.get(attribute, "") if attribute else "".join(element.itertext()).strip()
            for element in found
        ]
        if column.type == "strings":
            return values
        if len(values) > 1:
            raise ValueError(
                f"column {column.name} is there {len(values)} times; give it the type strings, or "
                "make a row of each with a longer path in record"
            )
        return values[0] if values else None

    return get
