"""`meltano.yml` and the files it includes, merged as Meltano merges them.

Source: https://docs.meltano.com/concepts/project#multiple-yaml-files, meltano/core/project_files.py
and `deep_merge` of meltano/core/utils.

One difference: the files that match one `include_paths` pattern are merged in sorted order. Meltano
merges them in the order of the file system.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dag_factory.errors import Code, Location, Problems, Severity
from dag_factory.meltano_yaml.reader import YamlList, YamlMap, read_yaml_file

__all__ = ["PATTERN_ERRORS", "YamlList", "YamlMap", "include_patterns", "read_project_files"]

PATTERN_ERRORS = (
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
)
"""What Path.glob raises, depending on the pattern and on the version of Python."""
_WILDCARD = re.compile(r"[*?[]")
_LISTS_OF_NAMED_ENTRIES = ("schedules", "environments", "jobs")


def read_project_files(root: Path, problems: Problems) -> YamlMap | None:
    """Return the `meltano.yml` below `root`, merged with the files that it includes.

    The result is `None` if Meltano rejects the project as a whole.
    """
    found = Problems()
    project = _read_main_file(root, found)
    if project is not None:
        project = _Includes(root, found).merged_into(project)
    problems.extend(found)
    is_rejected = any(problem.severity is Severity.PROJECT for problem in found)
    return None if is_rejected else project


def include_patterns(root: Path) -> tuple[str, ...]:
    """Return the patterns of `include_paths` in meltano.yml; none if it cannot be read."""
    project = _read_main_file(root, Problems())
    patterns = project.get("include_paths") if project else None
    return tuple(map(str, patterns)) if isinstance(patterns, YamlList) else ()


def _read_main_file(root: Path, problems: Problems) -> YamlMap | None:
    file = root / "meltano.yml"
    place = Location(file)
    if not os.path.lexists(file):
        message = f"there is no meltano.yml in {root}"
        hint = "set MELTANO_PROJECT_ROOT to the folder of the project"
        problems.add(Code.UNREADABLE_FILE, place, message, hint)
        return None
    if not _is_inside(file, root):
        message = "the file is a link that leads to no file in the project"
        problems.add(Code.UNREADABLE_FILE, place, message, "replace the link with the file itself")
        return None
    hint = "start it with `meltano init`, or write the keys of a project into it"
    return _read_mapping(file, hint, problems)


def _is_inside(file: Path, root: Path) -> bool:
    try:
        return file.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return False


def _read_mapping(file: Path, hint: str, problems: Problems) -> YamlMap | None:
    """Return the mapping in a file; the hint is for a file that has something else."""
    unreadable = Problems()
    value = read_yaml_file(file, unreadable)
    problems.extend(unreadable)
    if isinstance(value, YamlMap):
        return value
    if not unreadable:
        message = "the file is empty" if value is None else "the file must be a mapping"
        problems.add(Code.UNREADABLE_FILE, Location(file), message, hint)
    return None


class _Includes:
    """Merges the files that a project includes."""

    def __init__(self, root: Path, problems: Problems) -> None:
        self.root = root
        self.problems = problems
        self.names: dict[tuple[Any, ...], Location] = {}

    def merged_into(self, project: YamlMap) -> YamlMap:
        for file in self.files(project):
            hint = "write the keys of a project into it, or remove it from include_paths"
            included = _read_mapping(file, hint, self.problems)
            if included is None:
                continue
            if "include_paths" in included:
                message = "only some commands of Meltano read include_paths of an included file"
                hint = "list the files in include_paths of meltano.yml itself"
                place = included.at("include_paths")
                self.problems.add(Code.NESTED_INCLUDE, place, message, hint)
            if self.can_be_indexed(included):
                project = self.merged(project, included)
        return project

    def files(self, main: YamlMap) -> Iterator[Path]:
        """Yield each included file once."""
        patterns = main.get("include_paths", YamlList(main.location))
        if not isinstance(patterns, YamlList):
            hint = "write a list, such as `- ./extract/*.meltano.yml`"
            place = main.at("include_paths")
            message = "include_paths must be a list"
            self.problems.add(Code.INVALID_INCLUDE, place, message, hint)
            return
        files: dict[Path, None] = {}
        for pattern, place in zip(patterns, patterns.places, strict=True):
            files |= dict.fromkeys(self.matches(pattern, place))
        root = self.root.resolve()
        main_file = (self.root / "meltano.yml").resolve()
        for file in files:
            if root / file.relative_to(self.root) != main_file:
                yield file

    def matches(self, pattern: Any, place: Location) -> list[Path]:
        """Return the files that match a pattern; none if one match cannot be included."""
        try:
            matches = sorted(self.root.glob(pattern))
            wrong = [
                file for file in matches if not (file.is_file() and _is_inside(file, self.root))
            ]
        except PATTERN_ERRORS:
            message = f"{pattern!r} is not a file pattern within the project"
            hint = "write a pattern relative to the project, such as `./extract/*.meltano.yml`"
            self.problems.add(Code.INVALID_INCLUDE, place, message, hint)
            return []
        if wrong and wrong[0].is_dir():
            message = f"{pattern!r} matches a folder"
            hint = f"write {str(Path(pattern) / '*.yml')!r} for the files in it"
            self.problems.add(Code.INVALID_INCLUDE, place, message, hint)
        elif wrong:
            outside = os.path.relpath(wrong[0], self.root)
            message = f"{pattern!r} matches a file outside the project: {outside}"
            hint = "copy the file into the project, or narrow the pattern"
            self.problems.add(Code.INVALID_INCLUDE, place, message, hint)
        elif not matches and not _WILDCARD.search(pattern):
            message = f"{pattern!r} matches no file"
            hint = "correct the path, or remove it"
            self.problems.add(Code.UNMATCHED_INCLUDE, place, message, hint)
        return [] if wrong else matches

    def can_be_indexed(self, included: YamlMap) -> bool:
        """Return whether Meltano can tell which entries an included file defines."""
        found = Problems()
        lists: list[tuple[tuple[Any, ...], Any, Location]] = [
            ((key,), included[key], included.at(key))
            for key in _LISTS_OF_NAMED_ENTRIES
            if key in included
        ]
        plugins = included.get("plugins", {})
        if isinstance(plugins, YamlMap):
            lists += [(("plugins", kind), plugins[kind], plugins.at(kind)) for kind in plugins]
        elif plugins != {}:
            hint = "write `plugins:` with types of plugins below it, or remove the key"
            place = included.at("plugins")
            found.add(Code.WRONG_SHAPE, place, "plugins must be a mapping", hint)
        for path, entries, place in lists:
            what = " ".join(map(str, path))
            if isinstance(entries, YamlList):
                for entry, entry_place in zip(entries, entries.places, strict=True):
                    self.index(path, entry, entry_place, found)
            elif entries is None:
                found.add(Code.WRONG_SHAPE, place, f"{what} is empty", "remove the key")
            elif entries not in ({}, ""):
                hint = "write a list of entries, or remove the key"
                found.add(Code.WRONG_SHAPE, place, f"{what} must be a list", hint)
        self.problems.extend(found)
        return not found

    def index(self, path: tuple[Any, ...], entry: Any, place: Location, problems: Problems) -> None:
        """Remember the name of an entry, which must be unique among the included files."""
        what = " ".join(map(str, path))
        if not isinstance(entry, YamlMap) or "name" not in entry:
            message = f"an entry of {what} has no name"
            problems.add(Code.WRONG_SHAPE, place, message, "write a mapping with a name")
            return
        name, place = entry["name"], entry.at("name")
        if isinstance(name, (YamlList, YamlMap)):
            message = f"the name of an entry of {what} is a list or mapping"
            problems.add(Code.WRONG_SHAPE, place, message, "write a string")
            return
        first = self.names.setdefault((*path, name), place)
        if first is not place:
            message = f"{name!r} is also in {what} of {first.text(self.root)}"
            problems.add(Code.WRONG_SHAPE, place, message, "rename or remove one")

    def merged(self, base: YamlMap, other: YamlMap) -> YamlMap:
        """Merge as Meltano does: mappings by key, lists are joined, the last scalar wins."""
        result = YamlMap(base.location)
        result.update(base)
        result.places.update(base.places)
        for key, value in other.items():
            place = result.places.setdefault(key, other.at(key))
            if isinstance(value, YamlMap):
                mine = result.setdefault(key, YamlMap(value.location))
                if isinstance(mine, YamlMap):
                    result[key] = self.merged(mine, value)
                elif value:
                    self.report_conflict(key, place, other.at(key))
            elif isinstance(value, YamlList):
                mine = result.setdefault(key, YamlList(value.location))
                if isinstance(mine, YamlList):
                    mine.extend(value)
                    mine.places.extend(value.places)
                else:
                    self.report_conflict(key, place, other.at(key))
            else:
                result[key] = value
                result.places[key] = other.at(key)
        return result

    def report_conflict(self, key: Any, place: Location, other: Location) -> None:
        message = f"{key} cannot be merged with the {key} of {other.text(self.root)}"
        hint = "make both a list or both a mapping, or remove one; an empty key counts as neither"
        self.problems.add(Code.WRONG_SHAPE, place, message, hint)
