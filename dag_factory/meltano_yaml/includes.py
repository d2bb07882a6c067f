"""`meltano.yml` and the files it includes, merged as Meltano merges them.

Source: https://docs.meltano.com/concepts/project#multiple-yaml-files, meltano/core/project_files.py
and `deep_merge` of meltano/core/utils.

One difference: files that one `include_paths` pattern matches are taken in sorted order, where
Meltano takes them in the order of the file system.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dag_factory.errors import Code, Location, Problem, Severity
from dag_factory.meltano_yaml.reader import YamlList, YamlMap, read_yaml_file

__all__ = ["NO_PATTERN", "YamlList", "YamlMap", "include_patterns", "read_project_files"]

NO_PATTERN = (
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
)
"""What Path.glob raises, depending on the pattern and on the version of Python."""
_NO_MAPPING = "the file is no mapping"
_WILDCARD = re.compile(r"[*?[]")
_NAMED = ("schedules", "environments", "jobs")


def read_project_files(root: Path) -> tuple[YamlMap | None, tuple[Problem, ...]]:
    """Read `meltano.yml` below `root` and merge the files that it includes into it.

    Returns:
        The merged project (`None` where Meltano would refuse it as a whole) and the problems.
    """
    project, problems = _main_file(root)
    if project is None:
        return None, problems
    files, found = _included_files(root, project)
    names: dict[tuple[Any, ...], Location] = {}
    for file in files:
        included, unreadable = read_yaml_file(file)
        found.extend(unreadable)
        if isinstance(included, YamlMap):
            found.extend(_nested(included))
            unindexable = list(_unindexable(root, included, names))
            found.extend(unindexable)
            if not unindexable:
                project = _merged(root, project, included, found)
        elif not unreadable:
            hint = "fill it, or take it out of include_paths"
            found.append(Problem(Code.UNREADABLE_FILE, Location(file), _NO_MAPPING, hint))
    refused = any(problem.severity is Severity.PROJECT for problem in found)
    return (None if refused else project), tuple(found)


def include_patterns(root: Path) -> tuple[str, ...]:
    """Return the patterns of `include_paths` in meltano.yml, or none where it cannot be read."""
    project, _ = _main_file(root)
    patterns = project.get("include_paths") if project else None
    return tuple(map(str, patterns)) if isinstance(patterns, YamlList) else ()


def _main_file(root: Path) -> tuple[YamlMap | None, tuple[Problem, ...]]:
    file = root / "meltano.yml"
    if not os.path.lexists(file):
        message, hint = (
            f"there is no meltano.yml in {root}",
            "set MELTANO_PROJECT_ROOT to its folder",
        )
        return None, (Problem(Code.UNREADABLE_FILE, Location(file), message, hint),)
    if not _is_inside(file, root):
        what, hint = "the file leads out of the project", "put the file itself there"
        return None, (Problem(Code.UNREADABLE_FILE, Location(file), what, hint),)
    value, problems = read_yaml_file(file)
    if isinstance(value, YamlMap) or problems:
        return value, problems
    what = "the file is empty" if value is None else _NO_MAPPING
    hint = "start it with `meltano init`, or write the keys of a project into it"
    return None, (Problem(Code.UNREADABLE_FILE, Location(file), what, hint),)


def _is_inside(file: Path, root: Path) -> bool:
    try:
        return file.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return False


def _included_files(root: Path, main: YamlMap) -> tuple[list[Path], list[Problem]]:
    patterns = main.get("include_paths", YamlList(main.location))
    if not isinstance(patterns, YamlList):
        hint = "write a list, such as `- ./extract/*.meltano.yml`"
        place = main.at("include_paths")
        return [], [Problem(Code.INVALID_INCLUDE, place, "include_paths is no list", hint)]
    main_file = (root / "meltano.yml").resolve()
    files: dict[Path, None] = {}
    problems = []
    for pattern, place in zip(patterns, patterns.places, strict=True):
        try:
            matches = sorted(root.glob(pattern))
            wrong = [file for file in matches if not (file.is_file() and _is_inside(file, root))]
        except NO_PATTERN:
            hint = "write a pattern relative to the project, such as `./extract/*.meltano.yml`"
            message = f"{pattern!r} is no pattern of files in this project"
            problems.append(Problem(Code.INVALID_INCLUDE, place, message, hint))
            continue
        if wrong:
            problems.append(_no_file(root, pattern, wrong[0], place))
        elif not matches and not _WILDCARD.search(pattern):
            message = f"{pattern!r} matches no file"
            hint = "correct the path, or remove it"
            problems.append(Problem(Code.UNMATCHED_INCLUDE, place, message, hint))
        files |= dict.fromkeys(matches if not wrong else ())
    included = [file for file in files if root.resolve() / file.relative_to(root) != main_file]
    return included, problems


def _no_file(root: Path, pattern: str, match: Path, place: Location) -> Problem:
    if match.is_dir():
        hint = f"write {str(Path(pattern) / '*.yml')!r} for the files in it"
        message = f"{pattern!r} matches a folder"
    else:
        hint = "copy the file into the project, or narrow the pattern"
        message = f"{pattern!r} matches a file outside the project: {os.path.relpath(match, root)}"
    return Problem(Code.INVALID_INCLUDE, place, message, hint)


def _nested(included: YamlMap) -> Iterator[Problem]:
    if "include_paths" in included:
        message = "include_paths of an included file is read by some commands of Meltano only"
        hint = "list the files in include_paths of meltano.yml itself"
        yield Problem(Code.NESTED_INCLUDE, included.at("include_paths"), message, hint)


def _unindexable(
    root: Path, included: YamlMap, names: dict[tuple[Any, ...], Location]
) -> Iterator[Problem]:
    """Yield what keeps Meltano from telling which included file defines what."""
    lists: list[tuple[tuple[Any, ...], Any, Location]] = [
        ((key,), included[key], included.at(key)) for key in _NAMED if key in included
    ]
    plugins = included.get("plugins", {})
    if isinstance(plugins, YamlMap):
        lists += [(("plugins", kind), plugins[kind], plugins.at(kind)) for kind in plugins]
    elif plugins != {}:
        hint = "write `plugins:` with types of plugins below it, or remove the key"
        yield Problem(Code.WRONG_SHAPE, included.at("plugins"), "plugins is no mapping", hint)
    for path, entries, place in lists:
        what = " ".join(map(str, path))
        if isinstance(entries, YamlList):
            for entry, entry_place in zip(entries, entries.places, strict=True):
                yield from _unnamed(root, path, entry, entry_place, names)
        elif entries is None:
            yield Problem(Code.WRONG_SHAPE, place, f"{what} is empty", "remove the key")
        elif entries not in ({}, ""):
            hint = "write a list of entries, or remove the key"
            yield Problem(Code.WRONG_SHAPE, place, f"{what} is no list", hint)


def _unnamed(
    root: Path,
    path: tuple[Any, ...],
    entry: Any,
    place: Location,
    names: dict[tuple[Any, ...], Location],
) -> Iterator[Problem]:
    """Yield why one entry of an included file has no name of its own."""
    what = " ".join(map(str, path))
    if not isinstance(entry, YamlMap) or "name" not in entry:
        hint = "write a mapping with a name"
        yield Problem(Code.WRONG_SHAPE, place, f"an entry of {what} has no name", hint)
        return
    name, place = entry["name"], entry.at("name")
    if isinstance(name, (YamlList, YamlMap)):
        message = f"the name of an entry of {what} is a list or mapping"
        yield Problem(Code.WRONG_SHAPE, place, message, "write a text")
        return
    first = names.setdefault((*path, name), place)
    if first is not place:
        message = f"{name!r} stands in {what} of {first.text(root)} too"
        yield Problem(Code.WRONG_SHAPE, place, message, "rename or remove one")


def _merged(root: Path, base: YamlMap, other: YamlMap, problems: list[Problem]) -> YamlMap:
    """Merge as Meltano does: mappings by key, lists one after the other, the last scalar wins."""
    result = YamlMap(base.location)
    result.update(base)
    result.places.update(base.places)
    for key, value in other.items():
        place = result.places.setdefault(key, other.at(key))
        if isinstance(value, YamlMap):
            mine = result.setdefault(key, YamlMap(value.location))
            if isinstance(mine, YamlMap):
                result[key] = _merged(root, mine, value, problems)
            elif value:
                problems.append(_conflict(root, key, place, other.at(key)))
        elif isinstance(value, YamlList):
            mine = result.setdefault(key, YamlList(value.location))
            if isinstance(mine, YamlList):
                mine.extend(value)
                mine.places.extend(value.places)
            else:
                problems.append(_conflict(root, key, place, other.at(key)))
        else:
            result[key] = value
            result.places[key] = other.at(key)
    return result


def _conflict(root: Path, key: Any, place: Location, there: Location) -> Problem:
    message = f"{key} cannot be merged with the {key} of {there.text(root)}"
    return Problem(Code.WRONG_SHAPE, place, message, "write the same kind of value, or remove one")
