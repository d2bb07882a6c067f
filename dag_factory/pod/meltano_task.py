"""Runs one task in a container of a Meltano image: `meltano-task [options] -- meltano run ...`.

It compares the image's project with the project that the DAG was made from. It reads the secrets
with the given names, and runs Meltano with their contents as environment variables. It forwards
signals to Meltano and its plugins. It exits with Meltano's exit code, and writes a summary to the
termination log:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dag_factory.errors import SecretsError
from dag_factory.exit_codes import ExitCode, from_returncode
from dag_factory.meltano_process.log import LogEntry
from dag_factory.meltano_process.process import (
    MeltanoProcess,
    find_command,
    find_project_root,
)
from dag_factory.meltano_process.result import RunSummary
from dag_factory.planning.plan import TaskKind, command_blocks
from dag_factory.planning.secret_names import SecretPlan, parse_secret_name
from dag_factory.project.digests import task_digest
from dag_factory.project.model import Project, read_project
from dag_factory.project.plugins import Plugin
from dag_factory.project.task_grammar import Grammar
from dag_factory.secrets.masking import make_mask
from dag_factory.secrets.task_variables import read_task_variables

_OWNER_ONLY_UMASK = 0o077
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task, and return its exit code.

    It is Meltano's own or an `ExitCode`; 128 + N if signal N killed Meltano.
    """
    # The first process of a container receives only the signals that it handles.
    received: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda number, _: received.append(number))
    options = _parser().parse_args(argv)
    os.umask(_OWNER_ONLY_UMASK)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        summary = _run(options, received)
    except OSError as error:
        summary = RunSummary(ExitCode.OS_ERROR, f"{options.command[0]} cannot be run: {error}")
        _print_error(summary.error or "")
    with suppress(OSError):
        options.termination_log.write_bytes(summary.to_json())
    return from_returncode(summary.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="meltano-task", description=__doc__)
    parser.add_argument(
        "--digest",
        default="",
        metavar="DIGEST",
        help="the digest of what the task needs from the project",
    )
    parser.add_argument(
        "--extractor",
        action="append",
        default=[],
        metavar="NAME",
        help="an extractor whose rows are counted",
    )
    parser.add_argument(
        "--bookmark",
        action="append",
        default=[],
        metavar="STATE_ID",
        help="a state ID whose newest bookmarks go into the summary",
    )
    parser.add_argument(
        "--sensitive",
        action="append",
        default=[],
        metavar="VARIABLE",
        help="a variable whose value is masked in the log",
    )
    parser.add_argument(
        "--plugin-secret",
        action="append",
        default=[],
        nargs="+",
        type=parse_secret_name,
        metavar="NAME",
        help="the secret of a plugin, and the secrets of the plugins that it inherits from",
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        type=parse_secret_name,
        metavar="NAME",
        help="a secret whose keys are environment variables",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=20,
        metavar="SECONDS",
        help="how long Meltano may take to stop before it is killed (default: %(default)s)",
    )
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=Path("/dev/termination-log"),
        help="the file for the summary (default: %(default)s)",
    )
    parser.add_argument("command", nargs="+", help="the command, such as: meltano run TAP TARGET")
    return parser


def _run(options: argparse.Namespace, received: Sequence[int]) -> RunSummary:
    root = find_project_root()
    executable = find_command(options.command[0])
    reason = None if executable else f"`{options.command[0]}` is not in the image; install it there"
    reason = reason or _difference(root, options.digest, options.command)
    if reason:
        _print_error(reason)
        return RunSummary(ExitCode.CONFIG_ERROR, reason)
    try:
        variables = read_task_variables(
            root, os.environ, _requested_secrets(options), options.sensitive
        )
    except SecretsError as error:
        _print_error(str(error))
        return RunSummary(error.exit_code, str(error))
    for entry in variables.log_entries:
        _print(entry)
    mask = make_mask(variables.hidden_values)
    process = MeltanoProcess(
        [executable or "", *options.command[1:]],
        root,
        variables.environ,
        extractors=options.extractor,
        bookmarked=options.bookmark,
        patience=options.patience,
    )
    for number in _SIGNALS:
        signal.signal(number, lambda *_: process.stop())
    if received:
        process.stop()
    summary = process.run(lambda entry: _print(entry, mask))
    return replace(summary, error=summary.error and mask(summary.error))


def _requested_secrets(options: argparse.Namespace) -> list[SecretPlan]:
    of_plugins = [SecretPlan(tuple(each), of_plugin=True) for each in options.plugin_secret]
    return of_plugins + [SecretPlan((each,), of_plugin=False) for each in options.secret]


def _difference(root: Path, wanted: str, command: Sequence[str]) -> str | None:
    """Return how the image's project differs from the DAG's project in what the task needs."""
    if not wanted:
        return None
    name = os.environ.get("MELTANO_ENVIRONMENT", "")
    what = f"the image and the DAG have different versions of {root / 'meltano.yml'}"
    hint = "build a new image and set MELTANO_IMAGE, or wait until Airflow has the new DAG"
    project, problems = read_project(root)
    if project is None:
        return f"{what}: {problems[0].text(root)}"
    environment = next((each for each in project.environments if each.name == name), None)
    if environment is None:
        return f"{what}: the image has no environment {name!r}; {hint}"
    plugins = [*_plugins(project, command)]
    if missing := [word for word, plugin in plugins if plugin is None]:
        return f"{what}: the image has no {missing[0]!r}; {hint}"
    found = task_digest(project, environment, filter(None, (plugin for _, plugin in plugins)))
    if found != wanted:
        names = ", ".join(word for word, _ in plugins)
        return f"{what}: {names}, or the `env` of the project or of {name!r}, differ; {hint}"
    return None


def _plugins(project: Project, command: Sequence[str]) -> Iterator[tuple[str, Plugin | None]]:
    """Yield each word of a command with the plugin that it names, if the project has the plugin."""
    kind, words = command_blocks(command)
    if kind is TaskKind.ELT:
        for type_, word in zip(("extractors", "loaders"), words, strict=True):
            known = (each for each in project.plugins if (each.type, each.name) == (type_, word))
            yield word, next(known, None)
    else:
        grammar = Grammar(project)
        for word in words:
            yield word, grammar.plugin_of(word)


def _print(entry: LogEntry, mask: Callable[[str], str] = str) -> None:
    """Print a log line in the form from which Airflow recognises its level."""
    level = "" if entry.level == logging.INFO else f"{logging.getLevelName(entry.level)}: "
    print(f"{level}{mask(entry.text)}", flush=True)


def _print_error(message: str) -> None:
    _print(LogEntry(logging.ERROR, None, message))


if __name__ == "__main__":
    sys.exit(main())
