"""`meltano.yml` and the files it includes, read as Meltano reads them.

Meltano parses YAML 1.2 (`on` is a string, `012` is twelve) with ruamel.yaml and merges included
files into the main one. This module does the same on top of libyaml, and keeps the place of every
value. Source: https://docs.meltano.com/concepts/project#multiple-yaml-files and
meltano/core/project_files.py.

One difference: files that one `include_paths` pattern matches are taken in sorted order, where
Meltano takes them in the order of the file system.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Hashable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from dag_factory.errors import Code, Location, Problem

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MAX_DEPTH = 200
_INCLUDED = {"plugins": dict, "schedules": list, "environments": list, "jobs": list}


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


class _UnreadableError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class _Yaml12Loader(_Loader):  # type: ignore[misc]
    """libyaml with the scalar rules of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


def _resolve(kind: str, first: str, pattern: str) -> None:
    _Yaml12Loader.add_implicit_resolver(_TAG + kind, re.compile(f"^(?:{pattern})$"), [*first, ""])


_DIGITS = "-+0123456789"
_resolve("bool", "tTfF", "true|True|TRUE|false|False|FALSE")
_resolve(
    "float",
    _DIGITS + ".",
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
)
_resolve("int", _DIGITS, r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+")
_resolve("merge", "<", "<<")
_resolve("null", "~nN", "~|null|Null|NULL|")
_resolve(
    "timestamp",
    "0123456789",
    r"\d{4}-\d\d-\d\d"
    r"|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?"
    r"(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?",
)


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits.lstrip("+-")[:2], 10)
    return int(digits, base)


def _float(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


def _depth_at_most(text: str) -> int:
    """Return a bound of the nesting, cheap enough for every parse: brackets and indentation."""
    brackets = accumulate(1 if each in "[{" else -1 for each in re.findall(r"[\[\]{}]", text))
    indents = map(len, re.findall(r"^[ ?:-]+", text, re.MULTILINE))
    return max(brackets, default=0) + max(indents, default=0)


class _Reader:
    """Turns the nodes of one file into plain values with places."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.done: dict[int, Any] = {}
        self.open: set[int] = set()

    def location(self, mark: Any) -> Location:
        return Location(self.file, mark.line + 1, mark.column + 1) if mark else Location(self.file)

    def refuse(self, mark: Any, message: str, hint: str) -> _UnreadableError:
        return _UnreadableError(Problem(Code.UNREADABLE_FILE, self.location(mark), message, hint))

    def read(self) -> Any:
        try:
            with self.file.open(encoding="utf-8-sig", newline="") as stream:
                text = stream.read()
            loader = _Yaml12Loader(text)
        except (OSError, UnicodeDecodeError) as error:
            raise _UnreadableError(
                Problem(
                    Code.UNREADABLE_FILE,
                    Location(self.file),
                    f"cannot be read: {error}",
                    "make it a UTF-8 text file that this process may read",
                )
            ) from error
        except yaml.YAMLError as error:
            raise self.syntax(error) from error
        try:
            self.refuse_depth(text)
            node = loader.get_single_node()
            return None if node is None else self.value(loader, node)
        except yaml.YAMLError as error:
            raise self.syntax(error) from error
        finally:
            loader.dispose()

    def refuse_depth(self, text: str) -> None:
        """Refuse what would exhaust the stack of libyaml's composer and end the process."""
        if _depth_at_most(text) <= _MAX_DEPTH:
            return
        depth = 0
        for event in yaml.parse(text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                message = f"is nested deeper than {_MAX_DEPTH} levels"
                raise self.refuse(event.start_mark, message, "flatten it")

    def syntax(self, error: yaml.YAMLError) -> _UnreadableError:
        mark = getattr(error, "problem_mark", None)
        message = f"is not valid YAML: {getattr(error, 'problem', None) or error}"
        hint = "indent with spaces, close what is open, quote values that begin with @ or *"
        return self.refuse(mark, message, hint)

    def value(self, loader: Any, node: Any) -> Any:
        if id(node) in self.done:
            return self.done[id(node)]
        if id(node) in self.open:
            raise self.refuse(node.start_mark, "an anchor contains itself", "remove the loop")
        self.open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            result: Any = self.mapping(loader, node)
        elif isinstance(node, yaml.SequenceNode):
            result = YamlList(self.location(node.start_mark))
            for item in node.value:
                result.append(self.value(loader, item))
                result.places.append(self.location(item.start_mark))
        else:
            result = self.scalar(loader, node)
        self.open.discard(id(node))
        self.done[id(node)] = result
        return result

    def mapping(self, loader: Any, node: yaml.MappingNode) -> YamlMap:
        result = YamlMap(self.location(node.start_mark))
        merged: list[YamlMap] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged.extend(self.merge_sources(loader, value_node))
                continue
            key = self.value(loader, key_node)
            if not isinstance(key, Hashable):
                raise self.refuse(key_node.start_mark, "a key is a list or mapping", "use a name")
            if key in result:
                raise self.refuse(
                    key_node.start_mark,
                    f"the key {key!r} stands twice in one mapping",
                    f"merge it with line {result.at(key).line}",
                )
            result[key] = self.value(loader, value_node)
            result.places[key] = self.location(key_node.start_mark)
        for source in merged:
            for key, value in source.items():
                if key not in result:
                    result[key] = value
                    result.places[key] = source.at(key)
        return result

    def merge_sources(self, loader: Any, node: yaml.Node) -> list[YamlMap]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values = [self.value(loader, each) for each in nodes]
        if not all(isinstance(value, YamlMap) for value in values):
            raise self.refuse(node.start_mark, "<< merges what is no mapping", "merge mappings")
        return values

    def scalar(self, loader: Any, node: yaml.ScalarNode) -> Any:
        try:
            match node.tag.removeprefix(_TAG):
                case "int":
                    return _integer(node.value)
                case "float":
                    return _float(node.value)
                case "null":
                    return None
                case "bool":
                    return node.value.lower() == "true"
                case "timestamp":
                    return loader.construct_yaml_timestamp(node)
        except (AttributeError, TypeError, ValueError) as error:
            message = f"{reprlib.repr(node.value)} is no {node.tag.removeprefix(_TAG)}: {error}"
            raise self.refuse(node.start_mark, message, "quote it to make it a string") from error
        return node.value


def read_yaml_file(file: Path) -> tuple[Any, tuple[Problem, ...]]:
    """Read one YAML file as Meltano would.

    Returns:
        The value (`None` where the file is empty or unreadable) and what is wrong with the file.
    """
    try:
        return _Reader(file).read(), ()
    except _UnreadableError as error:
        return None, (error.problem,)


def read_project_files(root: Path) -> tuple[YamlMap | None, tuple[Problem, ...]]:
    """Read `meltano.yml` below `root` and merge the files that it includes into it.

    Returns:
        The merged project (`None` where Meltano would refuse it as a whole) and the problems.
    """
    main_file = root / "meltano.yml"
    main, problems = read_yaml_file(main_file)
    if problems:
        return None, problems
    if not isinstance(main, YamlMap):
        what = "is empty" if main is None else "is not a mapping"
        hint = "start it with `meltano init`, or write the keys of a project into it"
        return None, (Problem(Code.UNREADABLE_FILE, Location(main_file), what, hint),)
    files, found = _included_files(root, main)
    names: dict[tuple[str, ...], Location] = {}
    for file in files:
        included, unreadable = read_yaml_file(file)
        found.extend(unreadable)
        if unreadable:
            continue
        if not isinstance(included, YamlMap):
            hint = "fill it, or take it out of include_paths"
            found.append(Problem(Code.UNREADABLE_FILE, Location(file), "is no mapping", hint))
            continue
        found.extend(_misfits(main, included))
        found.extend(_repeated(included, names))
        _merge(main, included)
    return (None if found else main), tuple(found)


def _misfits(main: YamlMap, included: YamlMap) -> Iterator[Problem]:
    """Yield the lists and mappings of an included file that Meltano cannot merge."""
    for key, kind in _INCLUDED.items():
        for holder in (main, included) if key in included else ():
            if key in holder and not isinstance(holder[key], kind):
                hint = "write items there, or remove the key"
                message = f"{key} cannot be merged with the {key} of another file"
                yield Problem(Code.WRONG_SHAPE, holder.at(key), message, hint)


def _repeated(included: YamlMap, names: dict[tuple[str, ...], Location]) -> Iterator[Problem]:
    """Yield the names that stand in included files already, which Meltano refuses."""
    plugins = included.get("plugins")
    by_type = plugins if isinstance(plugins, YamlMap) else {}
    lists = {f"plugins {kind}": entries for kind, entries in by_type.items()}
    lists |= {key: included.get(key) for key in ("jobs", "schedules", "environments")}
    for key, entries in lists.items():
        for entry in entries if isinstance(entries, YamlList) else ():
            if not isinstance(entry, YamlMap) or not isinstance(entry.get("name"), str):
                continue
            place = entry.at("name")
            first = names.setdefault((key, entry["name"]), place)
            if first is not place:
                message = f"{entry['name']!r} stands in {key} of {first.file.name}:{first.line} too"
                yield Problem(Code.WRONG_SHAPE, place, message, "rename or remove one")


def _included_files(root: Path, main: YamlMap) -> tuple[list[Path], list[Problem]]:
    patterns = main.get("include_paths", [])
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        location = main.at("include_paths")
        hint = "write a list, such as `- ./extract/*.meltano.yml`"
        return [], [
            Problem(Code.INVALID_INCLUDE, location, "include_paths is no list of patterns", hint)
        ]
    files: dict[Path, None] = {}
    problems = []
    for pattern, location in zip(patterns, getattr(patterns, "places", ()), strict=True):
        try:
            matches = sorted(root.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            hint = "write a pattern relative to the project"
            problems.append(Problem(Code.INVALID_INCLUDE, location, f"{pattern!r}: {error}", hint))
            continue
        for file in matches:
            if file == root / "meltano.yml":
                continue
            if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
                message = f"{pattern!r} matches {file}, which is no file of this project"
                hint = "narrow the pattern"
                problems.append(Problem(Code.INVALID_INCLUDE, location, message, hint))
                continue
            files[file] = None
    return list(files), problems


def _merge(base: YamlMap, other: YamlMap) -> None:
    """Merge as Meltano does: mappings by key, lists one after the other, the last scalar wins."""
    for key, value in other.items():
        mine = base.get(key)
        if isinstance(value, YamlMap) and isinstance(mine, YamlMap):
            _merge(mine, value)
        elif isinstance(value, YamlList) and isinstance(mine, YamlList):
            mine.extend(value)
            mine.places.extend(value.places)
        else:
            base[key] = value
            base.places[key] = other.at(key)
