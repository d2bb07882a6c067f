"""How problems are silenced and shown."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dag_factory.errors import Code, Location, Problem
from dag_factory.secret_patterns import MASK, secret_start

_IGNORE = re.compile(r"#\s*meltano-dags:\s*ignore:?((?:[\s,]+MDF\d+)+)", re.IGNORECASE)
_TAB = 4
_LONGEST_LINE = 300
_KEY = re.compile(r"[\"']?([\w.-]+)[\"']?\s*:(?=\s|$)")
_GITHUB_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY_ESCAPES = {**_GITHUB_ESCAPES, ":": "%3A", ",": "%2C"}


class _Sources:
    """The lines of files, each read once."""

    def __init__(self) -> None:
        self.files: dict[Path, list[str]] = {}

    def line(self, location: Location) -> str:
        if location.file not in self.files:
            self.files[location.file] = _lines(location.file)
        lines = self.files[location.file]
        return lines[location.line - 1] if location.line <= len(lines) else ""


def _lines(file: Path) -> list[str]:
    try:
        return re.split(r"\r\n|\n|\r", file.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError:
        return []


def without_ignored(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Drop the warnings that a comment `# meltano-dags: ignore CODE` on their line silences."""
    sources = _Sources()
    return tuple(each for each in problems if not _is_ignored(each, sources))


def _is_ignored(problem: Problem, sources: _Sources) -> bool:
    if not problem.is_warning:
        return False
    found = _IGNORE.search(sources.line(problem.location)[-_LONGEST_LINE:])
    return found is not None and str(problem.code) in re.split(r"[\s,]+", found[1].upper())


def print_errors(problems: Iterable[Problem], root: Path) -> bool:
    """Print the problems that are not warnings to stderr; return whether there are any."""
    wrong = [each for each in problems if not each.is_warning]
    for problem in wrong:
        print(problem.text(root), file=sys.stderr)
    return bool(wrong)


def as_text(problems: Iterable[Problem], root: Path) -> str:
    """Return each problem with an excerpt: the line, and a caret below what is wrong."""
    return "\n".join(excerpts(problems, root))


def excerpts(problems: Iterable[Problem], root: Path) -> Iterator[str]:
    """Yield each problem with an excerpt; the secrets of a line are masked for all its problems."""
    known = [*problems]
    sources = _Sources()
    secrets: dict[tuple[Path, int], list[int]] = {}
    for place in (each.location for each in known if _hides_value(each)):
        secrets.setdefault((place.file, place.line), []).append(place.column - 1)
    for problem in known:
        place = problem.location
        line = sources.line(place)
        if len(line) <= _LONGEST_LINE:
            line = _visible(line, problem, secrets.get((place.file, place.line), []))
        else:
            line = ""
        yield _excerpt(problem, line, root)


def _excerpt(problem: Problem, line: str, root: Path) -> str:
    before = problem.location.column - 1
    if before > len(line) or not line.strip():
        return problem.text(root)
    indent = len(line[:before].expandtabs(_TAB))
    margin = f"{problem.location.line:>5} | "
    text = line.expandtabs(_TAB)
    return f"{problem.text(root)}\n{margin}{text}\n{' ' * (len(margin) + indent)}^"


def _hides_value(problem: Problem) -> bool:
    """Return whether the value at the place of a problem is, or may be, a secret."""
    return problem.code.concerns_secret or problem.code is Code.INVALID_SCHEDULE_ENV


def _visible(line: str, problem: Problem, secrets: Iterable[int]) -> str:
    """Return what an excerpt shows of a line: nothing from its first secret on.

    Args:
        line: The line.
        problem: A problem of the line. If it is about a secret, only the secret's name is shown.
        secrets: The indices of the values, or of their keys, that are known to be secrets.
    """
    before = problem.location.column - 1
    if _hides_value(problem):
        key = _KEY.match(line, before)
        return f"{' ' * before}{f'{key[1]}: ' if key else ''}{MASK}"
    starts = [key.end() + 1 if (key := _KEY.match(line, each)) else each for each in secrets]
    if (start := secret_start(line)) is not None:
        starts.append(start)
    if not starts:
        return line
    return f"{line[: min(starts)]}{MASK}".ljust(before)


def as_json(problems: Iterable[Problem], root: Path) -> str:
    """Return a JSON array of objects."""
    return json.dumps([_row(problem, root) for problem in problems], indent=2)


def _row(problem: Problem, root: Path) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "fails_check": problem.fails_check,
        "file": problem.location.text(root).rpartition(":")[0],
        "line": problem.location.line,
        "column": problem.location.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def as_github(problems: Iterable[Problem], root: Path) -> str:
    """Return workflow commands, which GitHub shows as annotations of the changed lines.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    return "\n".join(_workflow_command(problem, root) for problem in problems)


def _workflow_command(problem: Problem, root: Path) -> str:
    level = "error" if problem.fails_check else "warning"
    here = Path.cwd()
    inside = problem.location.file.is_relative_to(here)
    file = problem.location.text(here if inside else root).rpartition(":")[0]
    place = {"file": file, "line": problem.location.line, "col": problem.location.column}
    values = {**place, "title": problem.code}
    properties = ",".join(
        f"{name}={_escaped(str(value), _GITHUB_PROPERTY_ESCAPES)}" for name, value in values.items()
    )
    message = _escaped(f"{problem.message}; {problem.hint}", _GITHUB_ESCAPES)
    return f"::{level} {properties}::{message}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)


FORMATS: Mapping[str, Callable[[Iterable[Problem], Path], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
}
"""The formats of `meltano-dags check`."""
