"""How problems are silenced and shown."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dag_factory.errors import Code, Location, Problem

_IGNORE = re.compile(r"#\s*meltano-dags:\s*ignore:?((?:[\s,]+MDF\d+)+)", re.IGNORECASE)
_TAB = 4
_LONGEST_LINE = 300
# CI keeps logs: what may be a secret is not shown.
_MASK = "***"
_KEY = re.compile(r"[\"']?([\w.-]+)[\"']?\s*:(?=\s|$)")
_SECRET_KEY = re.compile(
    r"(?i)(?:pass|pwd|secret|token|credential|auth|key_?id|api_?key|access_?key|private_?key)"
    r"[\w.-]*[\"']?\s*:"
)
_SECRET_IN_ADDRESS = re.compile(r"(?<=://)[^\s/]+@")
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


def tell_wrong(problems: Iterable[Problem], root: Path) -> bool:
    """Name on stderr, beside a command's output, what cannot run; return whether there is any."""
    wrong = [each for each in problems if not each.is_warning]
    for problem in wrong:
        print(problem.text(root), file=sys.stderr)
    return bool(wrong)


def as_text(problems: Iterable[Problem], root: Path) -> str:
    """Return each problem with an excerpt: the line, and a caret below what is wrong."""
    sources = _Sources()
    return "\n".join(
        _excerpt(problem, sources.line(problem.location), root) for problem in problems
    )


def _excerpt(problem: Problem, line: str, root: Path) -> str:
    before = problem.location.column - 1
    line = _masked(problem, line) if len(line) <= _LONGEST_LINE else ""
    if before > len(line) or not line.strip():
        return problem.text(root)
    indent = len(line[:before].expandtabs(_TAB))
    margin = f"{problem.location.line:>5} | "
    text = line.expandtabs(_TAB)
    return f"{problem.text(root)}\n{margin}{text}\n{' ' * (len(margin) + indent)}^"


def _masked(problem: Problem, line: str) -> str:
    before = problem.location.column - 1
    if problem.code.concerns_secret or problem.code is Code.INVALID_SCHEDULE_ENV:
        key = _KEY.match(line, before)
        return f"{' ' * before}{f'{key[1]}: ' if key else ''}{_MASK}"
    if secret := _SECRET_KEY.search(line):
        line = f"{line[: secret.end()]} {_MASK}"
        return line.ljust(before)
    return _SECRET_IN_ADDRESS.sub(f"{_MASK}@", line)


def as_json(problems: Iterable[Problem], root: Path) -> str:
    """Return an array of objects, for other programs."""
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
