"""What a container of a Meltano image starts: `meltano-task [options] -- meltano run TAP TARGET`.

It compares the image's project with the one that the DAG was made from, reads the secrets whose
names it is given, runs Meltano with what they hold as variables, hands signals on to it and its
plugins, gives back its exit code, and leaves a summary where Kubernetes reads it:
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
from dag_factory.meltano_process.process import MeltanoProcess, find_command
from dag_factory.meltano_process.result import RunSummary
from dag_factory.planning.plan import SecretPlan
from dag_factory.project.digests import task_digest
from dag_factory.project.model import Project, read_project
from dag_factory.project.plugins import Plugin
from dag_factory.project.task_grammar import Grammar
from dag_factory.secrets.masking import make_mask
from dag_factory.secrets.unread_keys import key_warnings
from dag_factory.secrets.values import origins, read_secrets

_PRIVATE = 0o077
_ELT = "elt"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task, and return its exit code.

    It is Meltano's own or an `ExitCode`; 128 + N if signal N killed Meltano.
    """
    # The first process of a container gets only those signals that it handles.
    asked: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda number, _: asked.append(number))
    options = _parser().parse_args(argv)
    os.umask(_PRIVATE)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        summary = _run(options, asked)
    except OSError as error:
        summary = RunSummary(ExitCode.OS_ERROR, f"{options.command[0]} cannot be run: {error}")
        _show(LogEntry(logging.ERROR, None, summary.error or ""))
    with suppress(OSError):
        options.termination_log.write_bytes(summary.to_json())
    return from_returncode(summary.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="meltano-task", description=__doc__)
    parser.add_argument("--digest", default="", help="of what the task needs of the project")
    parser.add_argument("--extractor", action="append", default=[], help="whose rows are counted")
    parser.add_argument("--bookmark", action="append", default=[], help="a state ID to look at")
    parser.add_argument(
        "--sensitive",
        action="append",
        default=[],
        metavar="VARIABLE",
        help="whose value no line shows",
    )
    parser.add_argument(
        "--plugin-secret",
        action="append",
        default=[],
        nargs="+",
        metavar="NAME",
        help="a secret of a plugin, and those of the plugins that it inherits from",
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME",
        help="a secret whose keys are variables",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=20,
        metavar="SECONDS",
        help="which Meltano has to end by itself when it is told to stop (default: %(default)s)",
    )
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=Path("/dev/termination-log"),
        help="where the summary goes (default: %(default)s)",
    )
    parser.add_argument("command", nargs="+", help="such as: meltano run TAP TARGET")
    return parser


def _run(options: argparse.Namespace, asked: Sequence[int]) -> RunSummary:
    root = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path.cwd())
    executable = find_command(options.command[0])
    reason = None if executable else f"`{options.command[0]}` is not in the image: install it there"
    reason = reason or _difference(root, options.digest, options.command)
    if reason:
        _show(LogEntry(logging.ERROR, None, reason))
        return RunSummary(ExitCode.CONFIG_ERROR, reason)
    try:
        values = read_secrets(_secrets(options))
    except SecretsError as error:
        _show(LogEntry(logging.ERROR, None, str(error)))
        return RunSummary(error.exit_code, str(error))
    variables = values.variables
    for line in origins(variables, os.environ):
        _show(LogEntry(logging.INFO, None, line))
    for line in key_warnings(root, values.keys):
        _show(LogEntry(logging.WARNING, None, line))
    mask = make_mask([*variables.values(), *filter(None, map(os.environ.get, options.sensitive))])
    process = MeltanoProcess(
        [executable or "", *options.command[1:]],
        root,
        {**variables, **os.environ},
        extractors=options.extractor,
        bookmarked=options.bookmark,
        patience=options.patience,
    )
    for number in _SIGNALS:
        signal.signal(number, lambda *_: process.stop())
    if asked:
        process.stop()
    summary = process.run(lambda entry: _show(entry, mask))
    return replace(summary, error=summary.error and mask(summary.error))


def _secrets(options: argparse.Namespace) -> list[SecretPlan]:
    of_plugins = [SecretPlan(tuple(each), of_plugin=True) for each in options.plugin_secret]
    return of_plugins + [SecretPlan((each,), of_plugin=False) for each in options.secret]


def _difference(root: Path, wanted: str, command: Sequence[str]) -> str | None:
    """Return how the image's project differs from the DAG's, in what the task needs."""
    if not wanted:
        return None
    name = os.environ.get("MELTANO_ENVIRONMENT", "")
    what = f"the image and the DAG are of different versions of {root / 'meltano.yml'}"
    hint = "build the image anew and set MELTANO_IMAGE, or wait until Airflow has the new DAG"
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
        named = ", ".join(word for word, _ in plugins)
        return f"{what}: {named}, or the env of the project or of {name!r}, differ; {hint}"
    return None


def _plugins(project: Project, command: Sequence[str]) -> Iterator[tuple[str, Plugin | None]]:
    """Yield the plugin that each word of a command names: as the planner found it, or none."""
    words = [each for each in command[2:] if not each.startswith("-")]
    if command[1:2] == [_ELT]:
        for kind, word in zip(("extractors", "loaders"), words, strict=True):
            known = (each for each in project.plugins if (each.type, each.name) == (kind, word))
            yield word, next(known, None)
    else:
        grammar = Grammar(project)
        for word in words:
            yield word, grammar.plugin_of(word)


def _show(entry: LogEntry, mask: Callable[[str], str] = str) -> None:
    """Print a line as Airflow recognises its level."""
    level = "" if entry.level == logging.INFO else f"{logging.getLevelName(entry.level)}: "
    print(f"{level}{mask(entry.text)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
