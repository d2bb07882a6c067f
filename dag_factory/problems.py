"""How problems are silenced and shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dag_factory.errors import Code, Problem, Severity

_IGNORE = re.compile(r"#\s*meltano-dags:\s*ignore:?((?:[\s,]+MDF\d+)+)", re.IGNORECASE)
_TAB = 4
# Of lines that may hold a secret the name alone is printed: CI keeps logs.
_MASKED = (Code.PLAINTEXT_SECRET, Code.OVERRIDDEN_SECRET, Code.INVALID_SCHEDULE_ENV)
_GITHUB_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY_ESCAPES = {**_GITHUB_ESCAPES, ":": "%3A", ",": "%2C"}


def without_ignored(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Drop the warnings that a comment `# meltano-dags: ignore CODE` on their line silences."""
    return tuple(each for each in problems if not _is_ignored(each))


def _is_ignored(problem: Problem) -> bool:
    if problem.severity is not Severity.WARNING:
        return False
    found = _IGNORE.search(_source_line(problem))
    return found is not None and str(problem.code) in re.split(r"[\s,]+", found[1].upper())


def _source_line(problem: Problem) -> str:
    lines = _lines(problem.location.file)
    number = problem.location.line
    return lines[number - 1] if number <= len(lines) else ""


def _lines(file: Path) -> list[str]:
    try:
        return re.split(r"\r\n|\n|\r", file.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError:
        return []


def as_text(problems: Iterable[Problem], root: Path) -> str:
    """Return each problem with an excerpt: the line, and a caret below what is wrong."""
    return "\n".join(_excerpt(problem, root) for problem in problems)


def _excerpt(problem: Problem, root: Path) -> str:
    line = _source_line(problem)
    if problem.code in _MASKED:
        before = problem.location.column - 1
        name = re.match(r"[\w.-]*", line[before:])
        line = f"{' ' * before}{name[0]}: ***" if name else ""
    if problem.location.column > len(line) + 1 or not line.strip():
        return problem.text(root)
    shown = line.expandtabs(_TAB)
    indent = len(line[: problem.location.column - 1].expandtabs(_TAB))
    margin = f"{problem.location.line:>5} | "
    return f"{problem.text(root)}\n{margin}{shown}\n{' ' * (len(margin) + indent)}^"


def as_json(problems: Iterable[Problem], root: Path) -> str:
    """Return an array of objects, for other programs."""
    return json.dumps([_row(problem, root) for problem in problems], indent=2)


def _row(problem: Problem, root: Path) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
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
    level = "warning" if problem.severity is Severity.WARNING else "error"
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
