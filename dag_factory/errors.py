"""What can be wrong, and where.

    DagFactoryError      every error that this package reports to its users
    ├── ProjectError     a project, or a part of it, cannot run; carries the problems
    ├── SettingsError    an environment variable of this deployment is unusable
    ├── UsageError       a command line is wrong
    └── SecretsError     secrets cannot be read or written, or no task can use their values

A mistake in a project is a value (`Problem`) until the outermost caller raises it. One report
therefore names every mistake, and one bad job never hides a good one.

Whatever reads a part of a project is given a collector (`Problems`), and reports to it.
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
from dag_factory.secret_patterns import MASK, secret_in, without_secrets


class Severity(StrEnum):
    """The reach of a problem: what cannot run because of it. Each code has one."""

    PROJECT = "project"
    """Meltano rejects every command, so no job of the project can run."""

    JOB = "job"
    """One job or schedule cannot run. It is left out; the others run."""

    WARNING = "warning"
    """Meltano accepts it, and every job runs."""


@dataclass(frozen=True)
class Location:
    """A place in a file. Lines and columns count from 1."""

    file: Path
    line: int = 1
    column: int = 1

    def text(self, root: Path) -> str:
        """Return `file:line`. A file below `root` is given relative to it."""
        file = self.file.relative_to(root) if self.file.is_relative_to(root) else self.file
        return f"{file}:{self.line}"


class Code(StrEnum):
    """The kinds of problem. The meaning of a code never changes."""

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
    UNNOTIFIED_DEADLINE = "MDF037"
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
        """The reach of each problem of this kind."""
        return _SEVERITIES.get(self, Severity.JOB)

    @property
    def concerns_secret(self) -> bool:
        """Whether the value that is wrong is a secret, or replaces one."""
        return self in (Code.PLAINTEXT_SECRET, Code.OVERRIDDEN_SECRET)


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
    Code.UNNOTIFIED_DEADLINE: Severity.WARNING,
    Code.PLAINTEXT_SECRET: Severity.WARNING,
    Code.OVERRIDDEN_SECRET: Severity.WARNING,
}


@dataclass(frozen=True)
class Problem:
    """One mistake in a project, described for the person who can fix it.

    Attributes:
        code: The kind of mistake.
        location: The place of the value that is wrong.
        message: What is wrong.
        hint: What to do about it.
    """

    code: Code
    location: Location
    message: str
    hint: str

    def __post_init__(self) -> None:
        # Airflow's UI and the logs of CI keep what is printed.
        for name in ("message", "hint"):
            object.__setattr__(self, name, without_secrets(getattr(self, name)))

    @property
    def severity(self) -> Severity:
        """The reach of the problem."""
        return self.code.severity

    @property
    def is_warning(self) -> bool:
        """Whether every job runs despite the problem."""
        return self.severity is Severity.WARNING

    @property
    def fails_check(self) -> bool:
        """Whether `meltano-dags check` fails because of the problem.

        Secrets fail the check although they are only warnings.
        """
        return not self.is_warning or self.code.concerns_secret

    def text(self, root: Path) -> str:
        """Return the one-line form: `file:line: CODE what is wrong; what to do`.

        For an unreadable file the place includes the column, as the message names no key.
        """
        place = self.location.text(root)
        if self.code is Code.UNREADABLE_FILE:
            place += f":{self.location.column}"
        text = f"{place}: {self.code} {self.message}; {self.hint}"
        if self.severity is Severity.PROJECT:
            text += "; Meltano runs nothing until this is fixed"
        return text.replace("\n", " ")


class _ShortForm(reprlib.Repr):
    """Masks secrets before it shortens a value: the rest of a token may not look like one."""

    def repr1(self, x: Any, level: int) -> str:
        # `Repr` goes by the name of a type, and YAML's mappings and lists have types of their own.
        if isinstance(x, dict):
            return self.repr_dict(x, level)
        if isinstance(x, list):
            return self.repr_list(x, level)
        return super().repr1(x, level)

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(without_secrets(x), level)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        masked = {
            key: MASK if _is_scalar(value) and secret_in(str(key), value) else value
            for key, value in x.items()
        }
        return super().repr_dict(masked, level)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


_SHORT_FORM = _ShortForm()


def shown(value: Any) -> str:
    """Return a short form of a value, with null, true and false as in YAML, and without secrets."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _SHORT_FORM.repr(value)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `no problems`, `1 problem`, `2 problems`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def guess(word: Any, known: Iterable[str], otherwise: str) -> str:
    """Return the hint `did you mean ...?` for the known word nearest to `word`.

    Args:
        word: The unknown word.
        known: The words that are known.
        otherwise: The hint to return if no known word is similar.
    """
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems sorted by place, without duplicates."""
    return tuple(
        sorted(
            dict.fromkeys(problems),
            key=lambda p: (p.location.file, p.location.line, p.location.column, p.code),
        )
    )


class Problems:
    """A collector of problems, which each reader of a part of a project adds to."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, code: Code, location: Location, message: str, hint: str) -> None:
        """Report one mistake. The arguments are the attributes of a `Problem`."""
        self._found.append(Problem(code, location, message, hint))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add problems that were found elsewhere."""
        self._found.extend(problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class InvalidValueError(ValueError):
    """A value cannot be used.

    Attributes:
        reason: What is wrong: the rest of a sentence that begins with the value, such as
            `must be a list`.
        hint: What to do. It is empty if the reason says so.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(reason)


class DagFactoryError(Exception):
    """The base of every error that this package reports to its users."""


class ProjectError(DagFactoryError):
    """A project, or a part of it, cannot run.

    Attributes:
        problems: Every problem, sorted by place.
    """

    def __init__(self, problems: Iterable[Problem], root: Path, note: str = "") -> None:
        self.problems = in_order(problems)
        lines = [problem.text(root) for problem in self.problems]
        super().__init__("\n".join(["", *lines, *filter(None, [note])]))


class SettingsError(DagFactoryError):
    """An environment variable of this deployment is unusable. The message says what to do."""


class UsageError(DagFactoryError):
    """A command line is wrong. The message says what to do."""


class SecretsError(DagFactoryError):
    """Secrets cannot be read or written, or no task can use their values.

    The message is one line that says what to do. It never contains the value of a secret.

    Attributes:
        is_temporary: Whether a retry may succeed.
        denied_action: What AWS denied for the whole call, such as `secretsmanager:GetSecretValue`.
        exit_code: The exit code of a task that cannot start because of the error.
    """

    def __init__(
        self, message: str, *, is_temporary: bool = False, denied_action: str = ""
    ) -> None:
        self.is_temporary = is_temporary
        self.denied_action = denied_action
        self.exit_code = ExitCode.UNAVAILABLE if is_temporary else ExitCode.CONFIG_ERROR
        super().__init__(message)
