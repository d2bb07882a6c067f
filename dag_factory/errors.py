"""What can be wrong, and where.

    DagFactoryError      everything that this package tells its users
    ├── ProjectError     a project, or parts of it, cannot run; carries the problems
    ├── SettingsError    an environment variable of this deployment is unusable
    ├── UsageError       a command line is called wrongly
    └── SecretsError     secrets cannot be read or written, or hold what no task can use

A mistake in a project is a value first (`Problem`) and an exception only at the edge, so that one
report names every mistake and one bad job never hides a good one.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dag_factory.exit_codes import ExitCode


class Severity(StrEnum):
    """How far a problem reaches. It is fixed per problem code."""

    PROJECT = "project"
    """Meltano itself would refuse every command: no job of the project can run."""

    JOB = "job"
    """One job or schedule cannot run: it is left out, the others live on."""

    WARNING = "warning"
    """Meltano tolerates it, and the job runs."""


@dataclass(frozen=True)
class Location:
    """A place in a file; lines and columns count from 1."""

    file: Path
    line: int = 1
    column: int = 1

    def text(self, root: Path) -> str:
        """Return `file:line`, with the file relative to `root` where it lies below it."""
        file = self.file.relative_to(root) if self.file.is_relative_to(root) else self.file
        return f"{file}:{self.line}"


class Code(StrEnum):
    """The kinds of problem. A code keeps its meaning for ever."""

    UNREADABLE_FILE = "MDF001"
    INVALID_INCLUDE = "MDF002"
    WRONG_SHAPE = "MDF003"
    UNKNOWN_ENVIRONMENT = "MDF004"
    NESTED_INCLUDE = "MDF005"
    UNKNOWN_DEFAULT = "MDF006"
    INCOMPATIBLE_MELTANO = "MDF007"
    UNMATCHED_INCLUDE = "MDF008"
    UNREAD_KEY = "MDF009"
    INVALID_NAME = "MDF010"
    DUPLICATE_NAME = "MDF011"
    INVALID_TASKS = "MDF012"
    UNKNOWN_PLUGIN = "MDF013"
    NOT_A_BLOCK_SEQUENCE = "MDF014"
    SHARED_STATE = "MDF015"
    UNKNOWN_COMMAND = "MDF016"
    NO_DEFINITION = "MDF017"
    CYCLIC_INHERITANCE = "MDF018"
    INVALID_STATE_ID = "MDF019"
    UNKNOWN_JOB = "MDF020"
    INVALID_INTERVAL = "MDF021"
    INVALID_SCHEDULE_ENV = "MDF022"
    NAME_TAKEN = "MDF024"
    MAPPING_AS_TASK = "MDF025"
    INVALID_OPTION = "MDF030"
    UNKNOWN_ANNOTATIONS = "MDF031"
    UNPINNED_IMAGE = "MDF032"
    NO_SHARED_DATABASE = "MDF033"
    NO_KEYS = "MDF034"
    LASTING_CONTAINER = "MDF035"
    NO_SECRETS_PREFIX = "MDF036"
    UNHEARD_DEADLINE = "MDF037"
    DAG_NOT_BUILT = "MDF040"
    WRONG_ARGUMENT = "MDF041"
    MISSING_TIMETABLE = "MDF042"
    UNKNOWN_POOL = "MDF043"
    UNKNOWN_NOTIFIER = "MDF044"
    MISSING_CONNECTION = "MDF045"
    UNKNOWN_POD_KEY = "MDF046"
    PLAINTEXT_SECRET = "MDF050"  # noqa: S105 - a code
    OVERRIDDEN_SECRET = "MDF051"  # noqa: S105 - a code

    @property
    def severity(self) -> Severity:
        """How far a problem of this kind reaches."""
        return _SEVERITIES.get(self, Severity.JOB)


SECRETS = (Code.PLAINTEXT_SECRET, Code.OVERRIDDEN_SECRET)
"""The kinds that `check` fails on although every job runs."""
_SEVERITIES = {
    Code.UNREADABLE_FILE: Severity.PROJECT,
    Code.INVALID_INCLUDE: Severity.PROJECT,
    Code.WRONG_SHAPE: Severity.PROJECT,
    Code.UNKNOWN_ENVIRONMENT: Severity.PROJECT,
    Code.UNKNOWN_DEFAULT: Severity.WARNING,
    Code.INCOMPATIBLE_MELTANO: Severity.PROJECT,
    Code.DUPLICATE_NAME: Severity.WARNING,
    Code.SHARED_STATE: Severity.WARNING,
    Code.UNMATCHED_INCLUDE: Severity.WARNING,
    Code.UNREAD_KEY: Severity.WARNING,
    Code.MAPPING_AS_TASK: Severity.WARNING,
    Code.UNKNOWN_ANNOTATIONS: Severity.WARNING,
    Code.NO_DEFINITION: Severity.WARNING,
    Code.NO_SHARED_DATABASE: Severity.WARNING,
    Code.NO_KEYS: Severity.WARNING,
    Code.LASTING_CONTAINER: Severity.WARNING,
    Code.NO_SECRETS_PREFIX: Severity.WARNING,
    Code.UNHEARD_DEADLINE: Severity.WARNING,
    Code.PLAINTEXT_SECRET: Severity.WARNING,
    Code.OVERRIDDEN_SECRET: Severity.WARNING,
}


@dataclass(frozen=True)
class Problem:
    """One mistake in a project, in the words of the person who can mend it.

    Attributes:
        code: Which kind of mistake.
        location: The value that is wrong.
        message: What is wrong.
        hint: What to do about it.
    """

    code: Code
    location: Location
    message: str
    hint: str

    @property
    def severity(self) -> Severity:
        """How far it reaches."""
        return self.code.severity

    @property
    def is_warning(self) -> bool:
        """Whether everything runs all the same."""
        return self.severity is Severity.WARNING

    @property
    def fails_check(self) -> bool:
        """Whether `meltano-dags check`, and CI with it, fails."""
        return not self.is_warning or self.code in SECRETS

    def text(self, root: Path) -> str:
        """Return the one-line form: `file:line: CODE what is wrong; what to do`.

        What cannot be read has no name to look for, so its column is said too.
        """
        place = self.location.text(root)
        if self.code is Code.UNREADABLE_FILE:
            place += f":{self.location.column}"
        effect = "; until then Meltano runs nothing" if self.severity is Severity.PROJECT else ""
        return f"{place}: {self.code} {self.message}; {self.hint}{effect}".replace("\n", " ")


def shown(value: Any) -> str:
    """Return a short form of a value, in the words of YAML."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return reprlib.repr(value)


def counted(number: int, noun: str) -> str:
    """Return how many there are of something, in words: `no problems`, `1 problem`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def guess(word: Any, known: Iterable[str], otherwise: str) -> str:
    """Return the hint that names the nearest of the known words, or another where none is near."""
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, in the order of their places."""
    return tuple(
        sorted(
            dict.fromkeys(problems),
            key=lambda p: (p.location.file, p.location.line, p.location.column, p.code),
        )
    )


class Problems:
    """Collects the problems of a project; it is handed down to whatever reads a part of it."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, code: Code, location: Location, message: str, hint: str) -> None:
        """Report one mistake; the arguments are the attributes of a `Problem`."""
        self._found.append(Problem(code, location, message, hint))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over problems that were found elsewhere."""
        self._found.extend(problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class InvalidValueError(ValueError):
    """A value cannot be used.

    Attributes:
        reason: What is wrong, as the end of a sentence that begins with the value's name, such as
            `must be a list`.
        hint: What to do; empty where the reason says it.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(reason)


class DagFactoryError(Exception):
    """Base of everything that this package tells its users."""


class ProjectError(DagFactoryError):
    """A project, or a part of it, cannot run.

    Attributes:
        problems: Every problem found, in the order of their places.
    """

    def __init__(self, problems: Iterable[Problem], root: Path, note: str = "") -> None:
        self.problems = in_order(problems)
        lines = [problem.text(root) for problem in self.problems]
        super().__init__("\n".join(["", *lines, *filter(None, [note])]))


class SettingsError(DagFactoryError):
    """An environment variable of this deployment is unusable; the message says what to do."""


class UsageError(DagFactoryError):
    """A command line is called wrongly; the message says what to do."""


class SecretsError(DagFactoryError):
    """Secrets cannot be read or written, or hold what no task can use.

    The message is one line that says what to do; never what they hold.

    Attributes:
        may_pass: Whether a retry may succeed.
        lacks: The right that was refused for a call as a whole, such as `secretsmanager:...`.
        exit_code: The exit code of a task that could not start for this reason.
    """

    def __init__(self, message: str, *, may_pass: bool = False, lacks: str = "") -> None:
        self.may_pass = may_pass
        self.lacks = lacks
        self.exit_code = ExitCode.UNAVAILABLE if may_pass else ExitCode.CONFIG_ERROR
        super().__init__(message)
