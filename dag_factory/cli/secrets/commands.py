"""`meltano-dags secrets`: plan, push and doctor. No output and no argument holds a value."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from termcolor import colored

from dag_factory.checks.reporting import print_errors
from dag_factory.cli.project_options import settings_from
from dag_factory.cli.secrets.doctor import examine
from dag_factory.cli.secrets.needs import (
    SecretNeed,
    SecretReport,
    State,
    read_needs,
    report_secrets,
)
from dag_factory.cli.secrets.new_values import Values, ask_for_values, choose_values, read_values
from dag_factory.cli.secrets.push import SecretChange, change_lines, plan_change
from dag_factory.cli.secrets.report_output import age_in_days, report_lines, report_row, total_line
from dag_factory.errors import SecretsError, UsageError, counted, guess
from dag_factory.planning.secret_names import SecretName
from dag_factory.secrets.aws import (
    ACCESS_DENIED,
    Fetched,
    fetch_secrets,
    value_dates,
    write_secret,
)
from dag_factory.settings import Settings

# A `.env` file takes the lines of an unquoted key for names, too; those are not shown.
_VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_NOTHING_READ = "no task reads a secret from AWS"


def add_commands(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    """Add the commands below `secrets`.

    Args:
        parser: The parser of `secrets`.
        shared: The options that all commands about a project have.
    """
    commands = parser.add_subparsers(dest="secrets_command", required=True, metavar="COMMAND")
    plan = commands.add_parser(
        "plan", parents=[shared], help="list the secrets that the environment needs"
    )
    plan.add_argument("--format", choices=["text", "json"], default="text")
    plan.add_argument("--max-age", type=int, metavar="DAYS", help="fail if a value is older")
    plan.set_defaults(run=_plan)
    push = commands.add_parser("push", parents=[shared], help="write values into secrets")
    push.add_argument(
        "name",
        nargs="?",
        help="write one secret: its name, or the name of its plugin (default: all secrets)",
    )
    source = push.add_mutually_exclusive_group()
    source.add_argument(
        "--from-file", type=Path, metavar="FILE", help="read values from a JSON, YAML or .env file"
    )
    source.add_argument(
        "--from-env", action="store_true", help="read environment variables, named as in .env"
    )
    push.add_argument("--yes", action="store_true", help="write without confirmation")
    push.set_defaults(run=_push)
    doctor = commands.add_parser(
        "doctor", parents=[shared], help="check what a task needs of AWS, as its pod would"
    )
    doctor.set_defaults(run=_doctor)


def _needs(settings: Settings) -> tuple[tuple[SecretNeed, ...], bool]:
    """Return the secrets, and whether all jobs can run; print on stderr the jobs that cannot."""
    if not settings.secrets_prefix:
        hint = "set it to the prefix of the names of secrets, such as acme"
        raise UsageError(f"DAG_FACTORY_SECRETS_PREFIX is not set: {hint}")
    needs, problems = read_needs(settings)
    return needs, not print_errors(problems, settings.project_root)


def _plan(arguments: argparse.Namespace) -> bool:
    needs, all_run = _needs(settings_from(arguments))
    failure = None
    try:
        reports = [*report_secrets(needs, *_look_up(needs))]
    except SecretsError as error:
        failure = error
        reports = [SecretReport(need, State.UNKNOWN) for need in needs]
    now = datetime.now(UTC)
    if arguments.format == "json":
        print(json.dumps([report_row(each, now) for each in reports], indent=2))
    else:
        for report in reports:
            print("\n".join(report_lines(report, now)))
        print(total_line(reports))
    if failure:
        msg = f"the states of the secrets are unknown: {failure}"
        raise SecretsError(msg, is_temporary=failure.is_temporary)
    old = [each for each in reports if _is_old(age_in_days(each, now), arguments.max_age)]
    for report in old:
        name = report.need.name
        hint = f"renew it at its source, then run `meltano-dags secrets push {name.short_name}`"
        age = f"has a value that is older than {arguments.max_age} days"
        print(f"{name} {age}: {hint}", file=sys.stderr)
    return all_run and not old and not any(each.state.is_wrong for each in reports)


def _look_up(
    needs: Sequence[SecretNeed],
) -> tuple[Fetched, dict[SecretName, datetime | None]]:
    """Return what secrets hold and since when.

    Without the right to read a secret, there may be the right to know that it exists.
    """
    names = [each.name for each in needs if each.from_aws]
    if not names:
        return Fetched({}, {}, ""), {}
    try:
        fetched = fetch_secrets(names)
    except SecretsError as error:
        if not error.denied_action:
            raise
        fetched = Fetched({}, dict.fromkeys(names, ACCESS_DENIED), "")
    denied = [name for name, fault in fetched.faults.items() if fault.is_denied]
    return fetched, value_dates([*fetched.texts, *denied])


def _is_old(age: int | None, max_age: int | None) -> bool:
    return age is not None and max_age is not None and age > max_age


def _push(arguments: argparse.Namespace) -> bool:
    needs, _ = _needs(settings_from(arguments))
    needs = tuple(each for each in needs if each.from_aws)
    if not needs:
        print(_NOTHING_READ)
        return True
    try:
        changes = _changes(arguments, needs)
        for change in changes:
            print("\n".join(change_lines(change)))
        agreed = _is_confirmed(changes, asks=not arguments.yes)
    except (EOFError, KeyboardInterrupt):
        print()
        agreed = False
    if not agreed:
        print("nothing was written")
        return False
    for change in changes:
        try:
            write_secret(change.name, change.text)
        except SecretsError as error:
            msg = f"the secret '{change.name}' was not written: {error}"
            raise SecretsError(msg, is_temporary=error.is_temporary) from None
        print(f"wrote {change.name}")
    print(f"{counted(len(changes), 'secret')} written")
    return True


def _changes(arguments: argparse.Namespace, needs: Sequence[SecretNeed]) -> list[SecretChange]:
    """Return what would be written; ask for the values unless an option says where they are."""
    chosen = [_find_need(arguments.name, needs)] if arguments.name else needs
    fetched = fetch_secrets([name for each in chosen for name in (each.name, *each.others)])
    reports = [*report_secrets(chosen, fetched, {})]
    for report in reports:
        if report.state in (State.DENIED, State.UNREADABLE):
            raise SecretsError(f"the secret '{report.need.name}' cannot be read: {report.hint}")
    values = _new_values(arguments, reports)
    changes = []
    for report in reports:
        need = report.need
        change = plan_change(report, fetched.texts.get(need.name), values[need.name])
        goes_without = arguments.name and need.plugin and report.state is State.MISSING
        if change.keys or goes_without:
            changes.append(change)
    return changes


def _find_need(name: str, needs: Sequence[SecretNeed]) -> SecretNeed:
    known = {key: each for each in needs for key in (str(each.name), each.name.short_name)}
    known |= {each.plugin.name: each for each in needs if each.plugin}
    if name not in known:
        names = ", ".join(each.name.short_name for each in needs)
        hint = guess(name, known, f"the secrets are {names}")
        raise UsageError(f"no task reads a secret named {name!r}; {hint}")
    return known[name]


def _new_values(
    arguments: argparse.Namespace, reports: Sequence[SecretReport]
) -> Mapping[SecretName, Mapping[str, Any]]:
    """Return the new values of each secret."""
    named = bool(arguments.name)
    if not (arguments.from_env or arguments.from_file):
        if not sys.stdin.isatty():
            raise UsageError("there is no terminal to ask at: use --from-file or --from-env")
        return {each.need.name: dict(ask_for_values(each, named=named)) for each in reports}
    needs = [each.need for each in reports]
    of_plugins = [each for each in needs if each.plugin]
    if arguments.from_env:
        if named and not of_plugins:
            hint = "write them into a file, and use --from-file"
            raise UsageError(f"the variables of this secret may have any name: {hint}")
        values = Values(os.environ, may_be_others=True)
        chosen, _ = choose_values(of_plugins, values, by_setting=False)
    else:
        values = read_values(arguments.from_file)
        taking = needs if named else of_plugins
        chosen, left = choose_values(taking, values, by_setting=named)
        if shown := ", ".join(filter(_VARIABLE_NAME.fullmatch, left)):
            print(f"left out, because no secret takes them: {shown}", file=sys.stderr)
    return {each.name: chosen.get(each.name, {}) for each in needs}


def _is_confirmed(changes: Sequence[SecretChange], *, asks: bool) -> bool:
    """Return whether to write; `--yes` never replaces a secret that is not a JSON object."""
    if not (asks and changes):
        for change in changes:
            if change.replaces:
                msg = f"--yes does not replace '{change.name}', which is not a JSON object"
                raise UsageError(f"{msg}: confirm it at a terminal")
        return True
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to confirm at: use --yes")
    what = "this secret" if len(changes) == 1 else f"these {len(changes)} secrets"
    return input(f"Write {what}? [y/N] ").strip().lower() in ("y", "yes")


def _doctor(arguments: argparse.Namespace) -> bool:
    needs, is_well = _needs(settings_from(arguments))
    needs = tuple(each for each in needs if each.from_aws)
    if not needs:
        print(_NOTHING_READ)
        return is_well
    statements = []
    for finding in examine(needs):
        is_well = is_well and not finding.wrong
        mark = colored("wrong", "red") if finding.wrong else "ok   "
        print(f"{mark}  {finding.what}{': ' * bool(finding.wrong)}{finding.wrong}")
        for warning in finding.warnings:
            print(f"{colored('warn ', 'yellow')}  {finding.what}: {warning}")
        if finding.statement and finding.statement not in statements:
            statements.append(finding.statement)
    if statements:
        policy = {"Version": "2012-10-17", "Statement": statements}
        print(f"\nThe policy of the role lacks:\n{json.dumps(policy, indent=2)}")
    return is_well
