"""The values that `meltano-dags secrets push` is given: a file, the environment, or a prompt."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import Any

import yaml

from dag_factory.cli.secrets.needs import SecretNeed, SecretReport
from dag_factory.errors import Problems, UsageError, guess
from dag_factory.meltano_yaml.reader import as_json_value, read_yaml_file
from dag_factory.planning.secret_names import SecretName
from dag_factory.secrets.aws import INSTALL_EXTRA


@dataclass(frozen=True)
class Values:
    """The content of a file or of the environment.

    Attributes:
        by_name: The values, by names of settings or of variables.
        may_be_others: Whether names that belong to no secret are left out, as in a `.env` file;
            otherwise they are mistakes.
    """

    by_name: Mapping[str, Any] = field(repr=False)
    may_be_others: bool


def read_values(file: Path) -> Values:
    """Read a file of values: `.json`, `.yml` or `.yaml`, and any other name as Meltano's `.env`.

    Numbers and the like in YAML are taken as they are written: `0123` is a text of four characters.

    Raises:
        UsageError: The file is not UTF-8, not valid JSON or YAML, or not a mapping of names to
            values; or the package that reads `.env` is not installed. The message never quotes the
            content of the file, which may be secret.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8: save it as UTF-8") from None
    if file.suffix == ".json":
        return Values(_read_json(file, text), may_be_others=False)
    if file.suffix in (".yml", ".yaml"):
        return Values(_read_yaml(file, text), may_be_others=False)
    try:
        import dotenv  # noqa: PLC0415 - of an extra, and only needed here
    except ImportError:
        raise UsageError(f"reading a .env file needs an extra: {INSTALL_EXTRA}") from None
    return Values(dotenv.dotenv_values(stream=io.StringIO(text)), may_be_others=True)


def _read_json(file: Path, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (RecursionError, ValueError) as error:
        line = getattr(error, "lineno", 1)
        raise UsageError(f"{file}:{line} is not valid JSON: correct it") from None
    return _checked_mapping(file, values)


def _read_yaml(file: Path, text: str) -> dict[str, Any]:
    problems = Problems()
    values = read_yaml_file(file, problems)
    for problem in problems:
        place = f"{file}:{problem.location.line}"
        raise UsageError(f"{place} is not YAML as Meltano reads it: quote the value")
    as_written = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts
    return {
        str(key): as_written.get(str(key), value) if _is_scalar(value) else as_json_value(value)
        for key, value in _checked_mapping(file, values).items()
    }


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _checked_mapping(file: Path, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        form = '{"NAME": "value"}' if file.suffix == ".json" else "NAME: value"
        raise UsageError(f"{file} must be a mapping of names to values: write `{form}` into it")
    return values


def choose_values(
    needs: Sequence[SecretNeed], values: Values, *, by_setting: bool
) -> tuple[dict[SecretName, dict[str, Any]], tuple[str, ...]]:
    """Return the values of each secret, and the names that belong to no secret.

    Args:
        needs: The secrets. A secret of variables takes all values, as any name may be one of its.
        values: The values; empty ones are left out.
        by_setting: Whether the names of settings count, too, because only one secret is meant.

    Raises:
        UsageError: A name that belongs to no secret is a mistake.
    """
    filled = {name: each for name, each in values.by_name.items() if each not in ("", None)}
    chosen: dict[SecretName, dict[str, Any]] = {}
    known: dict[str, str] = {}
    for need in needs:
        names = _known_names(need, by_setting=by_setting) if need.plugin else {n: n for n in filled}
        chosen[need.name] = {names[name]: filled[name] for name in filled if name in names}
        known |= names
    left = tuple(name for name in filled if name not in known)
    if left and not values.may_be_others:
        secrets = " or ".join(repr(each.name.short_name) for each in needs)
        hint = guess(left[0], known, f"write one of {', '.join(known)}")
        raise UsageError(f"{left[0]!r} is not a setting of {secrets}; {hint}")
    return chosen, left


def _known_names(need: SecretNeed, *, by_setting: bool) -> dict[str, str]:
    """Return the settings of a plugin's secret, by the variables that Meltano reads them from.

    Args:
        need: A secret of a plugin.
        by_setting: Whether to return them by their own names and aliases, too.
    """
    return {
        name: setting.name
        for setting in need.settings
        for name in (
            *setting.env_vars,
            *((setting.name, *setting.aliases) if by_setting else ()),
        )
    }


def ask_for_values(report: SecretReport, *, named: bool) -> Iterator[tuple[str, str]]:
    """Ask at the terminal for the values of a secret.

    Args:
        report: The secret. If it is not named, only the settings that it lacks are asked for.
        named: Whether the caller named the secret.
    """
    need = report.need
    if need.plugin is None:
        if named:
            yield from _ask_for_variables(need)
        return
    if not (named or need.is_own):
        return
    asks_all = named or report.state.is_wrong
    for setting in need.sensitive:
        if not (asks_all or setting.name in report.lacking):
            continue
        is_set = setting in report.held and setting.name not in report.lacking
        how = "set; Enter keeps it" if is_set else "not set; Enter skips it"
        value = getpass(f"{need.name.short_name} {setting.name} ({how}): ")
        if value:
            yield setting.name, value


def _ask_for_variables(need: SecretNeed) -> Iterator[tuple[str, str]]:
    secret = need.name.short_name
    while name := input(f"{secret}: name of a variable (Enter ends): ").strip():
        value = getpass(f"{secret} {name} (Enter skips it): ")
        if value:
            yield name, value
