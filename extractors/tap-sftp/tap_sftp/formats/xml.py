"""XML documents, in which some elements are rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from tap_sftp.entries import Column, Entry
from tap_sftp.errors import BadFileError, BadRowError

CHUNK_SIZE = 2**16
"""Bytes that are parsed at a time."""

MAX_RECORD_SIZE = 2**26
"""Bytes of one row. A row without an end must not fill the memory."""


def read_rows(file: IO[bytes], entry: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the elements at the path `record`, each with its number in the document."""
    rows = _RowBuilder(entry)
    parser = DefusedXMLParser(target=rows)
    held = 0
    try:
        while chunk := file.read(CHUNK_SIZE):
            parser.feed(chunk)
            held = 0 if rows.released else held + len(chunk)
            if held > MAX_RECORD_SIZE:
                raise BadFileError(
                    f"has an element of over {MAX_RECORD_SIZE // 2**20} MB; is record correct?"
                )
            yield from rows.take()
        parser.close()
    except DefusedXmlException:
        problem = "declares XML entities, which may be an attack and are not supported"
        raise BadFileError(f"{problem}; ask the sender for a file without a DTD") from None
    except ParseError as error:
        where = f"line {error.position[0]}, after record {rows.number}"
        raise BadFileError(f"is not well-formed XML at {where}") from None
    except (LookupError, ValueError):
        # The parser raises these for an unknown encoding.
        raise BadFileError("has an encoding that the XML parser does not support") from None


class _RowBuilder:
    """Builds the elements that rows need, and drops each as soon as it has been used.

    The parser calls it for each start and end of an element, so that a row contains nothing that
    comes after it in the document.

    Args:
        entry: The entry of the file in the settings.
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
        """Return the rows completed since the last call."""
        rows, self._rows, self.released = self._rows, [], False
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin an element, and note how much of the path `record` the parser has matched."""
        on_path = self._matched == len(self._parents) < len(self._path)
        if on_path and _local(tag) == self._path[self._matched]:
            self._matched += 1
        self._parents.append(self._builder.start(tag, attributes))

    def end(self, tag: str) -> None:
        """End an element: add it if it is a row, and drop elements that no row needs."""
        element = self._builder.end(tag)
        self._parents.pop()
        parents, depth, matched = self._parents, len(self._parents), self._matched
        if matched == len(self._path) <= depth:
            return
        if matched == len(self._path) == depth + 1:
            self._add_row(element)
        # Of the elements beside the path to the rows, only those that columns need are kept.
        sibling = (*parents[matched:], element)[0].tag if depth >= matched else ""
        if parents and _local(sibling) not in self._kept:
            parents[-1].remove(element)
        self._matched = min(matched, depth)
        self.released = True

    def close(self) -> None:
        """Do nothing: the rows are already complete."""

    def _add_row(self, record: Element) -> None:
        self.number += 1
        try:
            row = {name: get(record, self._parents) for name, get in self._getters}
        except ValueError as error:
            raise BadRowError(self.number, str(error)) from None
        self._rows.append((self.number, row))


def _local(tag: str) -> str:
    """Return a tag's name without its namespace."""
    return tag.rpartition("}")[2]


def _getter(column: Column) -> Callable[[Element, list[Element]], Any]:
    """Return the function that finds a column's value in a record."""
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
                f"column {column.name} occurs {len(values)} times; set its type to strings, or "
                "extend the path in record so that each is a row"
            )
        return values[0] if values else None

    return get
