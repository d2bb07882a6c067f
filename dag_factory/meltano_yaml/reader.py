"""One YAML file, read as Meltano reads it, with the place of every value.

Meltano parses YAML 1.2 (`on` is a string, `012` is twelve) with ruamel.yaml. This module builds the
same values from the events of libyaml. It refuses what Meltano refuses, and of what Meltano accepts
only what no project needs: anchors that contain themselves, names of anchors that are more than
letters, digits, - and _, keys that are lists or mappings, `!!set`, `!!omap` and `!!pairs`, `%YAML`
other than 1.2, unknown directives, halves of characters, and what exceeds the limits below.
"""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Any

import yaml

from dag_factory.errors import Code, Location, Problem
from dag_factory.meltano_yaml import scalars

_MAX_BYTES = 5_000_000
_MAX_DEPTH = 200
_MAX_VALUES = 100_000
_MAX_DIRECTIVES = 1000

_UNPRINTABLE = re.compile(
    "[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BREAKS = "\x85\u2028\u2029"
_PERHAPS_STRAY = re.compile(f"[\t{_BREAKS}]|[|>][-+0-9]*#|\n +\n")
_STRAY_IN_PLAIN = re.compile(f"[\t{_BREAKS}]")
_STRAY_IN_BLOCK = re.compile(
    rf"^[^#\n]*?\t|^[|>][-+0-9]*#|^[|>][-+]?(?: [^\n]*)?\n( +)\n(?: *\n)*?\1 |[{_BREAKS}]"
)
_STRAY_BETWEEN = re.compile(f"^[^#\n]*?\t|[{_BREAKS}]", re.MULTILINE)
_STRAY_IN_FLOW = re.compile(f"[{_BREAKS}]")

_CONFLICT = "<<<<<<<"
# By the character at the place of a syntax error, or else by libyaml's message.
_HINTS_BY_CHARACTER = {
    "\t": "indent with spaces",
    "@": 'quote it, such as "@daily"',
    "`": "quote it",
    "*": 'quote it, such as "* * * * *"',
    "&": "quote it, or name the anchor with letters, digits, - and _",
    "%": "remove the line that begins with %",
}
_HINTS_BY_MESSAGE = {
    "expected ':'": "put a space after each colon, and quote what is no key",
    "values are not allowed": "quote the value that contains a colon, or mend the indentation",
    "directive": "remove the line that begins with %",
    "": "mend the indentation, close what is open, quote values with special characters",
}
_BEGINS_THERE = re.compile("quoted scalar|simple key|flow|alias|anchor")


def as_json_value(value: Any) -> Any:
    """Return a value as JSON can hold it: keys and dates become texts."""
    if isinstance(value, dict):
        return {str(key): as_json_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json_value(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)


class YamlMap(dict[Any, Any]):
    """A mapping that knows where it and each of its keys stand."""

    def __init__(self, location: Location) -> None:
        super().__init__()
        self.location = location
        self.places: dict[Any, Location] = {}

    def at(self, key: Any) -> Location:
        """Return the place of a key, or of the mapping where the key is absent."""
        return self.places.get(key, self.location)


class YamlList(list[Any]):
    """A list that knows where it and each of its items stand."""

    def __init__(self, location: Location) -> None:
        super().__init__()
        self.location = location
        self.places: list[Location] = []


def read_yaml_file(file: Path) -> tuple[Any, tuple[Problem, ...]]:
    """Read one YAML file as Meltano would.

    Returns:
        The value (`None` where the file is empty or unreadable) and what is wrong with the file.
    """
    try:
        text = _text(file)
        value = _Reader(file, text).document()
        _refuse_strays(file, text)
    except _UnreadableError as error:
        return None, (error.problem,)
    return value, ()


class _UnreadableError(Exception):
    def __init__(self, location: Location, message: str, hint: str) -> None:
        super().__init__(message)
        self.problem = Problem(Code.UNREADABLE_FILE, location, message, hint)


def _text(file: Path) -> str:
    """Return what a file says, with its line ends as Meltano sees them."""
    try:
        if file.exists() and not file.is_file():
            hint = "put a text file there"
            raise _UnreadableError(Location(file), "the file is not a regular file", hint)
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        hint = "make it a file that this process may read"
        raise _UnreadableError(Location(file), message, hint) from error
    if len(content) > _MAX_BYTES:
        message = f"the file is larger than {_MAX_BYTES // 1_000_000} MB"
        raise _UnreadableError(Location(file), message, "move what is no configuration elsewhere")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        message = f"the file is not UTF-8 text: {error.reason}"
        raise _UnreadableError(Location(file, line, column), message, "save it as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if odd := _UNPRINTABLE.search(text):
        message = f"the file holds the control character U+{ord(odd[0]):04X}"
        raise _UnreadableError(_place(file, text, odd.start()), message, "remove it")
    return text


def _place(file: Path, text: str, index: int) -> Location:
    return Location(file, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


class _Reader:
    """Turns the events of one text into plain values with places."""

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
            raise _UnreadableError(Location(self.file), "the file has too many directives", hint)
        self.event()
        start = self.event()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version not in (None, (1, 2)):
            message = f"the file asks for YAML {start.version[0]}.{start.version[1]}"
            raise self.refuse(start, message, "remove the line that begins with %YAML")
        value = self.value(self.event())
        rest = self.text[self.event().end_mark.index :]
        if re.sub("#.*", "", rest).strip():
            place = _place(self.file, self.text, len(self.text) - len(rest.lstrip()))
            raise _UnreadableError(
                place, "the file has a second document", "keep one document in each file"
            )
        self.event()
        return value

    def event(self) -> Any:
        try:
            return self.loader.get_event()
        except yaml.MarkedYAMLError as error:
            begun = error.context_mark and _BEGINS_THERE.search(error.context or "")
            mark = error.context_mark if begun else error.problem_mark
            message = f"the file is not valid YAML: {error.problem}"
            raise _UnreadableError(self.place(mark), message, self.hint(error, mark)) from error

    def hint(self, error: yaml.MarkedYAMLError, mark: Any) -> str:
        line = "".join(self.text.split("\n")[mark.line : mark.line + 1])
        if line.startswith(_CONFLICT):
            return "resolve the merge conflict"
        if line[: mark.column].rstrip().endswith(('"', "'")):
            return "close the quote that is open above, or quote the whole value"
        if hint := _HINTS_BY_CHARACTER.get(line[mark.column : mark.column + 1]):
            return hint
        return next(hint for word, hint in _HINTS_BY_MESSAGE.items() if word in str(error.problem))

    def place(self, mark: Any) -> Location:
        return Location(self.file, mark.line + 1, mark.column + 1)

    def refuse(self, event: Any, message: str, hint: str) -> _UnreadableError:
        return _UnreadableError(self.place(event.start_mark), message, hint)

    def count(self, event: Any, values: int) -> None:
        self.values += values
        if self.values > _MAX_VALUES:
            message = (
                f"the file holds more than {_MAX_VALUES:,} values, those behind each alias counted"
            )
            raise self.refuse(event, message, "split it, or repeat less by aliases")

    def value(self, event: Any) -> Any:
        self.count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self.aliased(event)
        before = self.values
        anchored: list[tuple[Any, int]] = []
        if event.anchor is not None:
            self.refuse_joined(event, self.text.find(f"&{event.anchor}", event.start_mark.index))
            self.anchors[event.anchor] = anchored
        if event.tag is not None:
            self.refuse_tag(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        else:
            value = self.collection(event)
        anchored.append((value, self.values - before))
        return value

    def aliased(self, event: Any) -> Any:
        self.refuse_joined(event, event.start_mark.index)
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            hint = "write the anchor before the value that it stands for, or quote the *"
            raise self.refuse(event, "an alias stands for nothing above it", hint)
        if not anchored:
            raise self.refuse(
                event, f"the anchor {event.anchor} contains itself", "remove the loop"
            )
        [(value, size)] = anchored
        self.count(event, size)
        return value

    def refuse_joined(self, event: Any, start: int) -> None:
        """Refuse `&a:b`, where libyaml ends the name before the colon and Meltano does not."""
        end = start + 1 + len(event.anchor)
        if self.text.startswith(("?", ":"), end):
            hint = "put a space after the name"
            raise self.refuse(
                event, f"the name {event.anchor!r} of an anchor ends at a colon", hint
            )

    def refuse_tag(self, event: Any) -> None:
        """Refuse `!a,` and `!a!b`, whose end libyaml and Meltano see at different places."""
        empty = isinstance(event, yaml.ScalarEvent) and not (event.value or event.style)
        comma = empty and self.text.startswith(",", event.end_mark.index)
        if comma or "!" in event.tag[1:]:
            message = f"the tag {event.tag} goes on with a comma or an exclamation mark"
            raise self.refuse(event, message, "put a space after the tag")

    def scalar(self, event: Any) -> Any:
        try:
            return scalars.value(event)
        except ValueError as error:
            hint = "quote it to make it a string"
            raise self.refuse(event, f"the value {error}", hint) from error

    def collection(self, event: Any) -> YamlMap | YamlList:
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if not scalars.fits(event.tag, kind):
            message = f"the tag {event.tag} is not one for this value"
            raise self.refuse(event, message, "remove the tag")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            message = f"the file is nested deeper than {_MAX_DEPTH} levels"
            raise self.refuse(event, message, "flatten it")
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
                raise self.refuse(event, "a key is a list or mapping", "use a name, or quote {{ }}")
            if scalars.is_merge(event):
                if merged:
                    hint = "write one, such as `<<: [*a, *b]`"
                    raise self.refuse(event, "<< stands twice in one mapping", hint)
                merged = self.merged(self.event())
                continue
            if key in result:
                message = f"the key {reprlib.repr(key)} stands twice in one mapping"
                raise self.refuse(event, message, f"merge it with line {result.at(key).line}")
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
            raise self.refuse(event, "<< merges what is no mapping", "merge mappings")
        return sources


def _refuse_strays(file: Path, text: str) -> None:
    """Refuse the tabs, line breaks and comments that libyaml takes and Meltano does not."""
    if not _PERHAPS_STRAY.search(text):
        return
    end = level = 0
    for token in yaml.scan(text, yaml.CSafeLoader):
        start = token.start_mark.index
        parts = [(end, start, _STRAY_IN_FLOW if level else _STRAY_BETWEEN)]
        end = token.end_mark.index
        if isinstance(token, yaml.ScalarToken) and (token.plain or token.style in "|>"):
            parts.append((start, end, _STRAY_IN_PLAIN if token.plain else _STRAY_IN_BLOCK))
        level += isinstance(token, (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken))
        level -= isinstance(token, (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken))
        for first, last, pattern in parts:
            if stray := pattern.search(text[first:last]):
                index = first + stray.end() - 1
                message = f"the file has {text[index]!r} where Meltano does not take it"
                hint = "put one plain space there, indent evenly, or quote the value"
                raise _UnreadableError(_place(file, text, index), message, hint)
