"""One YAML file, read as Meltano reads it, with the place of every value.

Meltano parses YAML 1.2 (`on` is a string, `012` is twelve) with ruamel.yaml. This module builds the
same values from the events of libyaml. It rejects every file that Meltano rejects. It also rejects
some files that Meltano accepts, because no project needs what they contain: anchors that contain
themselves, anchor names with characters other than letters, digits, - and _, keys that are lists or
mappings, `!!set`, `!!omap` and `!!pairs`, `%YAML` other than 1.2, unknown directives, lone
surrogates, and files that exceed the limits below.
"""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Any

import yaml

from dag_factory.errors import Code, InvalidValueError, Location, Problems
from dag_factory.meltano_yaml import scalars
from dag_factory.meltano_yaml.source_text import (
    UnreadableError,
    decoded_text,
    place_in,
    reject_strays,
)

_MAX_DEPTH = 200
_MAX_VALUES = 100_000
_MAX_DIRECTIVES = 1000

_CONFLICT_MARKER = "<<<<<<<"
# The hint for a syntax error depends on the character at its place, or else on libyaml's message.
_HINTS_BY_CHARACTER = {
    "\t": "indent with spaces",
    "@": 'put quotes around the text that begins with @, such as "@daily"',
    "`": "put quotes around the text that begins with `",
    "*": 'put quotes around the text that begins with *, such as "* * * * *"',
    "&": "put quotes around the text that begins with &, "
    "or name the anchor with letters, digits, - and _",
    "%": "remove the line that begins with %",
}
_HINTS_BY_MESSAGE = {
    "expected ':'": "put a space after each colon, and quote text that is not a key",
    "values are not allowed": "quote the value that contains a colon, or fix the indentation",
    "directive": "remove the line that begins with %",
    "": "fix the indentation, close brackets and quotes, or quote values with special characters",
}
_ERROR_BEGINS_AT_CONTEXT = re.compile("quoted scalar|simple key|flow|alias|anchor")


def as_json_value(value: Any) -> Any:
    """Return a value that JSON can represent: keys and dates become strings."""
    if isinstance(value, dict):
        return {str(key): as_json_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json_value(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)


class YamlMap(dict[Any, Any]):
    """A mapping with its own place and the place of each key."""

    def __init__(self, location: Location) -> None:
        super().__init__()
        self.location = location
        self.places: dict[Any, Location] = {}

    def at(self, key: Any) -> Location:
        """Return the place of a key, or the place of the mapping if the key is absent."""
        return self.places.get(key, self.location)


class YamlList(list[Any]):
    """A list with its own place and the place of each item."""

    def __init__(self, location: Location) -> None:
        super().__init__()
        self.location = location
        self.places: list[Location] = []


def read_yaml_file(file: Path, problems: Problems) -> Any:
    """Return the value in a YAML file, read as Meltano reads it.

    The value is `None` if the file is empty, or if it is unreadable, which is reported.
    """
    try:
        text = decoded_text(file)
        value = _Reader(file, text).document()
        reject_strays(file, text)
    except UnreadableError as error:
        problems.add(Code.UNREADABLE_FILE, error.location, error.message, error.hint)
        return None
    return value


class _Reader:
    """Turns the events of one text into values with places."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.text = text
        self.loader: Any = yaml.CSafeLoader(text)
        self.anchors: dict[str, list[tuple[Any, int]]] = {}
        self.depth = 0
        self.values = 0

    def document(self) -> Any:
        """Return the value of the only document."""
        if self.text.count("\n%") > _MAX_DIRECTIVES:
            hint = "remove the lines that begin with %"
            raise UnreadableError(Location(self.file), "the file has too many directives", hint)
        self.event()
        start = self.event()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version not in (None, (1, 2)):
            message = f"the file requires YAML {start.version[0]}.{start.version[1]}"
            raise self.error(start, message, "remove the line that begins with %YAML")
        value = self.value(self.event())
        rest = self.text[self.event().end_mark.index :]
        if re.sub("#.*", "", rest).strip():
            place = place_in(self.file, self.text, len(self.text) - len(rest.lstrip()))
            raise UnreadableError(
                place, "the file has a second document", "keep one document per file"
            )
        self.event()
        return value

    def event(self) -> Any:
        try:
            return self.loader.get_event()
        except yaml.MarkedYAMLError as error:
            at_context = error.context_mark and _ERROR_BEGINS_AT_CONTEXT.search(error.context or "")
            mark = error.context_mark if at_context else error.problem_mark
            message = f"the file is not valid YAML: {error.problem}"
            raise UnreadableError(self.place(mark), message, self.hint(error, mark)) from error

    def hint(self, error: yaml.MarkedYAMLError, mark: Any) -> str:
        line = "".join(self.text.split("\n")[mark.line : mark.line + 1])
        if line.startswith(_CONFLICT_MARKER):
            return "resolve the merge conflict"
        if line[: mark.column].rstrip().endswith(('"', "'")):
            return "close the quote that is open above, or quote the whole value"
        if hint := _HINTS_BY_CHARACTER.get(line[mark.column : mark.column + 1]):
            return hint
        return next(hint for word, hint in _HINTS_BY_MESSAGE.items() if word in str(error.problem))

    def place(self, mark: Any) -> Location:
        return Location(self.file, mark.line + 1, mark.column + 1)

    def error(self, event: Any, message: str, hint: str) -> UnreadableError:
        return UnreadableError(self.place(event.start_mark), message, hint)

    def count(self, event: Any, values: int) -> None:
        self.values += values
        if self.values > _MAX_VALUES:
            message = (
                f"the file has more than {_MAX_VALUES:,} values, counting those behind each alias"
            )
            raise self.error(event, message, "split the file, or use fewer aliases")

    def value(self, event: Any) -> Any:
        self.count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self.aliased(event)
        before = self.values
        anchored: list[tuple[Any, int]] = []
        if event.anchor is not None:
            self.reject_name_before_colon(
                event, self.text.find(f"&{event.anchor}", event.start_mark.index)
            )
            self.anchors[event.anchor] = anchored
        if event.tag is not None:
            self.reject_ambiguous_tag(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        else:
            value = self.collection(event)
        anchored.append((value, self.values - before))
        return value

    def aliased(self, event: Any) -> Any:
        self.reject_name_before_colon(event, event.start_mark.index)
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            hint = f"write &{event.anchor} before the value to repeat, or quote the *"
            raise self.error(event, f"the alias *{event.anchor} has no anchor above it", hint)
        if not anchored:
            raise self.error(event, f"the anchor {event.anchor} contains itself", "remove the loop")
        [(value, size)] = anchored
        self.count(event, size)
        return value

    def reject_name_before_colon(self, event: Any, start: int) -> None:
        """Reject `&a:b`: libyaml ends the name before the colon, and Meltano does not."""
        end = start + 1 + len(event.anchor)
        if self.text.startswith(("?", ":"), end):
            hint = "put a space after the name"
            raise self.error(
                event, f"the anchor name {event.anchor!r} is followed by a colon", hint
            )

    def reject_ambiguous_tag(self, event: Any) -> None:
        """Reject `!a,` and `!a!b`: libyaml and Meltano disagree on where such a tag ends."""
        empty = isinstance(event, yaml.ScalarEvent) and not (event.value or event.style)
        comma = empty and self.text.startswith(",", event.end_mark.index)
        if comma or "!" in event.tag[1:]:
            message = f"the tag {event.tag} is followed by a comma or an exclamation mark"
            raise self.error(event, message, "put a space after the tag")

    def scalar(self, event: Any) -> Any:
        try:
            return scalars.value(event)
        except InvalidValueError as error:
            raise self.error(event, f"the value {error.reason}", error.hint) from error

    def collection(self, event: Any) -> YamlMap | YamlList:
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if not scalars.fits(event.tag, kind):
            message = f"the tag {event.tag} does not fit this value"
            raise self.error(event, message, "remove the tag")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            message = f"the file is nested deeper than {_MAX_DEPTH} levels"
            raise self.error(event, message, "flatten it")
        result = self.sequence(event) if kind == "seq" else self.mapping(event)
        self.depth -= 1
        return result

    def sequence(self, start: Any) -> YamlList:
        result = YamlList(self.place(start.start_mark))
        while not isinstance(event := self.event(), yaml.SequenceEndEvent):
            result.append(self.value(event))
            result.places.append(self.place(event.start_mark))
        return result

    def mapping(self, start: Any) -> YamlMap:
        result = YamlMap(self.place(start.start_mark))
        merged: list[YamlMap] = []
        while not isinstance(event := self.event(), yaml.MappingEndEvent):
            key = self.value(event)
            if isinstance(key, (YamlMap, YamlList)):
                raise self.error(
                    event, "a key is a list or mapping", "write a name, or quote {{ }}"
                )
            if scalars.is_merge(event):
                if merged:
                    hint = "write one, such as `<<: [*a, *b]`"
                    raise self.error(event, "<< occurs twice in one mapping", hint)
                merged = self.merged(self.event())
                continue
            if key in result:
                message = f"the key {reprlib.repr(key)} occurs twice in one mapping"
                raise self.error(event, message, f"merge it with line {result.at(key).line}")
            result[key] = self.value(self.event())
            result.places[key] = self.place(event.start_mark)
        for source in merged:
            for key, value in source.items():
                if key not in result:
                    result[key] = value
                    result.places[key] = source.at(key)
        return result

    def merged(self, event: Any) -> list[YamlMap]:
        value = self.value(event)
        sources = value if isinstance(value, YamlList) else [value]
        if not all(isinstance(source, YamlMap) for source in sources):
            raise self.error(event, "<< must merge mappings", "write an alias of a mapping")
        return sources
