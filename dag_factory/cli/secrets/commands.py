"""`meltano-dags secrets`: plan, push and doctor. No output holds a value, nor an argument."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path
from typing import Any

from termcolor import colored

from dag_factory.checks.reporting import tell_wrong
from dag_factory.cli.secrets.doctor import examine
from dag_factory.cli.secrets.needs import (
    SecretNeed,
    SecretReport,
    State,
    read_needs,
    report_secrets,
)
from dag_factory.cli.secrets.push import (
    SecretChange,
    Values,
    choose_values,
    plan_change,
    read_values,
)
from dag_factory.errors import SecretsError, UsageError, counted, guess
from dag_factory.secrets.aws import DENIED, Fetched, current_since, fetch_secrets, write_secret
from dag_factory.settings import Settings

_FAILED = 1
# The lines of a key that nobody quoted are names to a `.env`, too; those are shown to nobody.
_A_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_NOTHING_READ = "no task reads a secret of AWS"
_UNFINISHED = (State.LACKS, State.EMPTY)
_LOOKED_INTO = (*_UNFINISHED, State.EXISTS, State.MISSING, State.INHERITED)


def add_commands(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    """Add the commands below `secrets`.

    Args:
        parser: That of `secrets`.
        shared: The options that all commands about a project have.
    """
    commands = parser.add_subparsers(dest="secrets_command", required=True, metavar="COMMAND")
    plan = commands.add_parser("plan", parents=[shared], help="list the secrets that are needed")
    plan.add_argument("--format", choices=["text", "json"], default="text")
    plan.add_argument("--max-age", type=int, metavar="DAYS", help="fail where a value is older")
    plan.set_defaults(run_secrets=_plan)
    push = commands.add_parser("push", parents=[shared], help="put values into secrets")
    push.add_argument("name", nargs="?", help="of one secret, or its plugin (default: all)")
    source = push.add_mutually_exclusive_group()
    source.add_argument("--from-file", type=Path, metavar="FILE", help="JSON, YAML or a .env")
    source.add_argument("--from-env", action="store_true", help="from variables, as in .env")
    push.add_argument("--yes", action="store_true", help="ask for no confirmation")
    push.set_defaults(run_secrets=_push)
    doctor = commands.add_parser("doctor", parents=[shared], help="try what a pod will try")
    doctor.set_defaults(run_secrets=_doctor)


def _needs(settings: Settings) -> tuple[tuple[SecretNeed, ...], bool]:
    """Return the secrets, and whether all jobs can run; name beside the output what cannot."""
    if not settings.secrets_prefix:
        msg = "DAG_FACTORY_SECRETS_PREFIX is not set: set it to what begins the names of the"
        raise UsageError(f"{msg} secrets, such as acme")
    needs, problems = read_needs(settings)
    return needs, not tell_wrong(problems, settings.project_root)


def _looked_up(needs: Sequence[SecretNeed]) -> tuple[Fetched, dict[str, datetime | None]]:
    """Return what secrets hold and since when; who may not read them may know that they exist."""
    names = [each.name for each in needs if each.from_aws]
    if not names:
        return Fetched({}, {}, ""), {}
    try:
        fetched = fetch_secrets(names)
    except SecretsError as error:
        if not error.lacks:
            raise
        fetched = Fetched({}, dict.fromkeys(names, DENIED), "")
    denied = [name for name, fault in fetched.faults.items() if fault.is_denied]
    return fetched, current_since([*fetched.texts, *denied])


def _plan(arguments: argparse.Namespace, settings: Settings) -> int:
    needs, good = _needs(settings)
    unasked = None
    try:
        reports = [*report_secrets(needs, *_looked_up(needs))]
    except SecretsError as error:
        unasked = error
        reports = [SecretReport(need, State.UNKNOWN) for need in needs]
    now = datetime.now(UTC)
    old = [each for each in reports if _is_old(_age(each, now), arguments.max_age)]
    if arguments.format == "json":
        print(json.dumps([_row(each, now) for each in reports], indent=2))
    else:
        for report in reports:
            print("\n".join(_lines(report, now)))
        print(_total(reports))
    if unasked:
        print(f"meltano-dags: the states are not known: {unasked}", file=sys.stderr)
        return unasked.exit_code
    for report in old:
        print(_too_old(report, arguments.max_age), file=sys.stderr)
    is_well = good and not old and not any(each.state.is_wrong for each in reports)
    return 0 if is_well else _FAILED


def _is_old(age: int | None, max_age: int | None) -> bool:
    return age is not None and max_age is not None and age > max_age


def _too_old(report: SecretReport, max_age: int) -> str:
    hint = f"renew it at its source, then with `meltano-dags secrets push {report.need.short_name}`"
    return f"{report.need.name} has a value that is older than {max_age} days: {hint}"


def _row(report: SecretReport, now: datetime) -> dict[str, Any]:
    need = report.need
    known = report.state in _LOOKED_INTO
    return {
        "name": need.name,
        "plugin": need.plugin.name if need.plugin else None,
        "jobs": need.jobs,
        "state": report.state.name.lower(),
        "hint": report.hint,
        "settings": [
            {
                "name": each.name,
                "sensitive": each.sensitive,
                "set": each in report.held if known else None,
            }
            for each in need.settings
            if each.sensitive or each in report.held
        ],
        "lacking": report.lacking,
        "other_keys": report.other_keys,
        "unread_keys": [*report.unread_keys],
        "age_days": _age(report, now),
    }


def _age(report: SecretReport, now: datetime) -> int | None:
    return (now - report.since).days if report.since else None


def _lines(report: SecretReport, now: datetime) -> Iterator[str]:
    need, state = report.need, str(report.state)
    if report.state.is_wrong or report.state in _UNFINISHED:
        state = colored(state, "red" if report.state.is_wrong else "yellow")
    said = f"{state}: {report.hint}" if report.hint else state
    yield f"{need.name}  ({said})"
    age = _age(report, now)
    unread = ", ".join(f"{key} ({hint})" for key, hint in report.unread_keys.items())
    open_settings = [each.name for each in report.held if not each.sensitive]
    listed = {
        "age": f"{age} day{'' if age == 1 else 's'}" if age is not None else "",
        "plugin": need.plugin.name if need.plugin else "",
        "sensitive": ", ".join(each.name for each in need.sensitive),
        "lacks": ", ".join(report.lacking),
        "settings": ", ".join(open_settings),
        "variables" if need.plugin is None else "other keys": ", ".join(report.other_keys),
        "unread": colored(unread, "yellow") if unread else "",
        "jobs": ", ".join(need.jobs),
    }
    for what, text in listed.items():
        if text:
            yield f"    {what:<12} {text}"


def _total(reports: Sequence[SecretReport]) -> str:
    total = counted(len(reports), "secret")
    if any(each.state is State.UNKNOWN for each in reports):
        return total
    return f"{total}, {sum(each.state.is_wrong for each in reports) or 'none'} wrong"


def _push(arguments: argparse.Namespace, settings: Settings) -> int:
    needs, _ = _needs(settings)
    needs = tuple(each for each in needs if each.from_aws)
    if not needs:
        print(_NOTHING_READ)
        return 0
    try:
        changes = _changes(arguments, needs)
        for change in changes:
            print("\n".join(_change_lines(change)))
        agreed = _agreed(changes, asks=not arguments.yes)
    except (EOFError, KeyboardInterrupt):
        print()
        agreed = False
    if not agreed:
        print("nothing was written")
        return _FAILED
    for change in changes:
        try:
            write_secret(change.name, change.text)
        except SecretsError as error:
            msg = f"the secret {change.name!r} is not written: {error}"
            raise SecretsError(msg, may_pass=error.may_pass) from None
        print(f"wrote {change.name}")
    print(f"{counted(len(changes), 'secret')} written")
    return 0


def _changes(arguments: argparse.Namespace, needs: Sequence[SecretNeed]) -> list[SecretChange]:
    """Return what would be written; ask for values where they come from nowhere else."""
    chosen = [_named(arguments.name, needs)] if arguments.name else needs
    names = [name for each in chosen for name in (each.name, *each.others)]
    fetched = fetch_secrets([*dict.fromkeys(names)])
    reports = [*report_secrets(chosen, fetched, {})]
    for report in reports:
        if report.state in (State.DENIED, State.UNREADABLE):
            raise SecretsError(f"the secret {report.need.name!r} cannot be read: {report.hint}")
    values = _values(arguments, reports)
    changes = []
    for report in reports:
        need = report.need
        change = plan_change(report, fetched.texts.get(need.name), values[need.name])
        goes_without = arguments.name and need.plugin and report.state is State.MISSING
        if change.keys or goes_without:
            changes.append(change)
    return changes


def _agreed(changes: Sequence[SecretChange], *, asks: bool) -> bool:
    """Return whether to write: where nobody is asked, nothing is replaced as a whole."""
    if asks and changes:
        return _confirmed(len(changes))
    for change in changes:
        if change.replaces:
            msg = f"the secret {change.name!r} is no JSON object, and --yes replaces none"
            raise UsageError(f"{msg}: confirm it at a terminal")
    return True


def _named(name: str, needs: Sequence[SecretNeed]) -> SecretNeed:
    known = {key: each for each in needs for key in (each.name, each.short_name)}
    known |= {each.plugin.name: each for each in needs if each.plugin}
    if name not in known:
        short = [each.short_name for each in needs]
        hint = guess(name, known, f"there are {', '.join(short)}" if short else "none is needed")
        raise UsageError(f"no task reads a secret {name!r}; {hint}")
    return known[name]


def _values(
    arguments: argparse.Namespace, reports: Sequence[SecretReport]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the new values of each secret by its name."""
    named = bool(arguments.name)
    if not (arguments.from_env or arguments.from_file):
        if not sys.stdin.isatty():
            raise UsageError("there is no terminal to ask at: give --from-file or --from-env")
        return {each.need.name: dict(_asked(each, named=named)) for each in reports}
    needs = [each.need for each in reports]
    by_plugin = [each for each in needs if each.plugin]
    if arguments.from_env:
        if named and not by_plugin:
            msg = "its variables may have any name: write them into a file, and give --from-file"
            raise UsageError(msg)
        chosen, _ = choose_values(
            by_plugin, Values(os.environ, may_be_others=True), by_setting=False
        )
    else:
        taking = needs if named else by_plugin
        chosen, left = choose_values(taking, read_values(arguments.from_file), by_setting=named)
        named_so = ", ".join(filter(_A_VARIABLE.fullmatch, left))
        if named_so:
            print(f"left out, as no secret takes it: {named_so}", file=sys.stderr)
    return {each.name: chosen.get(each.name, {}) for each in needs}


def _asked(report: SecretReport, *, named: bool) -> Iterator[tuple[str, str]]:
    """Ask for the values of a secret: where it is not named, only for those that it lacks."""
    need = report.need
    if need.plugin is None:
        if named:
            yield from _asked_variables(need)
        return
    if not (named or need.is_own):
        return
    asks_all = named or report.state.is_wrong
    for setting in need.sensitive:
        if not (asks_all or setting.name in report.lacking):
            continue
        is_set = setting in report.held and setting.name not in report.lacking
        how = "is set" if is_set else "is not set"
        value = getpass(f"{need.short_name} {setting.name} ({how}; enter leaves it): ")
        if value:
            yield setting.name, value


def _asked_variables(need: SecretNeed) -> Iterator[tuple[str, str]]:
    while name := input(f"{need.short_name}: name of a variable (enter ends): ").strip():
        value = getpass(f"{need.short_name} {name} (enter leaves it): ")
        if value:
            yield name, value


def _change_lines(change: SecretChange) -> Iterator[str]:
    how = "is created" if change.is_new else "gets a new version"
    if change.replaces:
        how = "is no JSON object: all that it holds is replaced"
    yield f"{change.name}  ({how})"
    if change.added:
        yield f"    {'sets':<12} {', '.join(change.added)}"
    if change.changed:
        yield f"    {'changes':<12} {', '.join(change.changed)}"
    if not change.keys:
        yield f"    {'holds':<12} nothing: its plugin then goes without"


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to confirm at: give --yes")
    what = "this secret" if count == 1 else f"these {count} secrets"
    return input(f"Write {what}? [y/N] ").strip().lower() in ("y", "yes")


def _doctor(_: argparse.Namespace, settings: Settings) -> int:
    needs, good = _needs(settings)
    needs = tuple(each for each in needs if each.from_aws)
    if not needs:
        print(_NOTHING_READ)
        return 0 if good else _FAILED
    statements = []
    for finding in examine(needs):
        good = good and not finding.wrong
        mark = colored("wrong", "red") if finding.wrong else "ok   "
        print(f"{mark}  {finding.what}{': ' * bool(finding.wrong)}{finding.wrong}")
        for warning in finding.warnings:
            print(f"{colored('warn ', 'yellow')}  {finding.what}: {warning}")
        if finding.statement and finding.statement not in statements:
            statements.append(finding.statement)
    if statements:
        policy = {"Version": "2012-10-17", "Statement": statements}
        print(f"\nThe policy of the role lacks:\n{json.dumps(policy, indent=2)}")
    return 0 if good else _FAILED
