"""The text of a YAML file, before it is parsed, and the characters in it that Meltano rejects."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from dag_factory.errors import Location

_MAX_BYTES = 5_000_000
_UNPRINTABLE = re.compile(
    "[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BREAKS = "\x85\u2028\u2029"
_MAYBE_STRAY = re.compile(f"[\t{_BREAKS}]|[|>][-+0-9]*#|\n +\n")
_STRAY_IN_PLAIN = re.compile(f"[\t{_BREAKS}]")
_STRAY_IN_BLOCK = re.compile(
    rf"^[^#\n]*?\t|^[|>][-+0-9]*#|^[|>][-+]?(?: [^\n]*)?\n( +)\n(?: *\n)*?\1 |[{_BREAKS}]"
)
_STRAY_BETWEEN = re.compile(f"^[^#\n]*?\t|[{_BREAKS}]", re.MULTILINE)
_STRAY_IN_FLOW = re.compile(f"[{_BREAKS}]")


class UnreadableError(Exception):
    """Ends the reading of a file at its first mistake."""

    def __init__(self, location: Location, message: str, hint: str) -> None:
        super().__init__(message)
        self.location = location
        self.message = message
        self.hint = hint


def decoded_text(file: Path) -> str:
    """Return the text of a file, with the line breaks that Meltano sees."""
    try:
        if file.exists() and not file.is_file():
            hint = "replace it with a text file"
            raise UnreadableError(Location(file), "the file is not a regular file", hint)
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        hint = "give this process permission to read it, or correct the path"
        raise UnreadableError(Location(file), message, hint) from error
    if len(content) > _MAX_BYTES:
        message = f"the file is larger than {_MAX_BYTES // 1_000_000} MB"
        raise UnreadableError(Location(file), message, "keep only configuration in it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        message = f"the file is not UTF-8 text: {error.reason}"
        raise UnreadableError(Location(file, line, column), message, "save it as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if odd := _UNPRINTABLE.search(text):
        message = f"the file contains the control character U+{ord(odd[0]):04X}"
        raise UnreadableError(place_in(file, text, odd.start()), message, "remove it")
    return text


def place_in(file: Path, text: str, index: int) -> Location:
    """Return the place of the character at an index of a file's text."""
    return Location(file, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def reject_strays(file: Path, text: str) -> None:
    """Reject the tabs, line breaks and comments that libyaml accepts and Meltano does not."""
    if not _MAYBE_STRAY.search(text):
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
                message = f"the file has {text[index]!r} where Meltano does not accept it"
                hint = "write one plain space there, indent evenly, or quote the value"
                raise UnreadableError(place_in(file, text, index), message, hint)
