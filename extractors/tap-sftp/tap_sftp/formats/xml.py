"""XML documents, of which some elements are rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from tap_sftp.entries import Column, Entry
from tap_sftp.errors import BadFileError, BadRowError

LARGEST = 2**26
"""Bytes of one row; one without an end must not fill the memory."""


def read_rows(file: IO[bytes], entry: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the elements that the path `record` leads to, by their order."""
    measured = _Measured(file)
    getters = [(column.name, _getter(column)) for column in entry.columns]
    number = 0
    try:
        for number, (record, parents) in enumerate(_records(measured, entry), 1):
            try:
                yield number, {name: get(record, parents) for name, get in getters}
            except ValueError as error:
                raise BadRowError(number, str(error)) from None
    except DefusedXmlException:
        what = "declares XML entities, which may be an attack and are not read"
        raise BadFileError(f"{what}; ask the sender for a file without a DTD") from None
    except ParseError as error:
        line = error.position[0]
        raise BadFileError(
            f"is no well-formed XML in line {line}, after record {number}; the sender must mend it"
        ) from None
    except (LookupError, ValueError):
        # The parser says so of an encoding that it does not know.
        raise BadFileError("is in an encoding that XML parsers do not know") from None


def _records(file: _Measured, entry: Entry) -> Iterator[tuple[Element, list[Element]]]:
    """Yield each record with the elements around it, and forget it then."""
    path = entry.record.strip("/").split("/")
    kept = {
        column.path.lstrip("./").split("/")[0] for column in entry.columns if ".." in column.path
    }
    parents: list[Element] = []
    matched = 0
    for event, element in iterparse(file, ("start", "end")):
        if event == "start":
            if matched == len(parents) < len(path) and _local(element) == path[matched]:
                matched += 1
            parents.append(element)
            continue
        parents.pop()
        depth = len(parents)
        if matched == len(path) <= depth:
            continue
        if matched == len(path) == depth + 1:
            yield element, parents
        # Of what is beside the way to the records, only what their columns ask for stays.
        beside = (*parents[matched:], element)[0] if depth >= matched else None
        if parents and (beside is None or _local(beside) not in kept):
            parents[-1].remove(element)
        matched = min(matched, depth)
        file.forget()


def _local(element: Element) -> str:
    """Return a name without its namespace."""
    return element.tag.rpartition("}")[2]


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


class _Measured:
    """A file of which an element that does not end is not read to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        if self._held > LARGEST:
            raise BadFileError(f"has an element of over {LARGEST // 2**20} MB; is record right?")
        data = self._file.read(size)
        self._held += len(data)
        return data

    def forget(self) -> None:
        """Note that nothing of what was read is held any more."""
        self._held = 0
