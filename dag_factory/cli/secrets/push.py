"""What `meltano-dags secrets push` would write: values by their names, and what they change."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dag_factory.cli.secrets.needs import SecretNeed, SecretReport, State
from dag_factory.errors import Problems, UsageError, guess
from dag_factory.meltano_yaml.reader import as_json_value, read_yaml_file
from dag_factory.project.plugins import Setting
from dag_factory.secrets.unread_keys import as_variable, spellings
from dag_factory.secrets.values import secret_object, secret_variables


@dataclass(frozen=True)
class SecretChange:
    """A secret as it would be.

    Attributes:
        name: As in AWS Secrets Manager.
        text: What it would hold.
        added: The keys that it has not yet.
        changed: The keys that it has already.
        is_new: Whether there is no such secret.
        replaces: Whether it would lose what it holds, which is no JSON object.
    """

    name: str
    text: str = field(repr=False)
    added: tuple[str, ...]
    changed: tuple[str, ...]
    is_new: bool
    replaces: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that get a value."""
        return self.added + self.changed


@dataclass(frozen=True)
class Values:
    """What a file or the environment holds.

    Attributes:
        by_name: By names of settings or of variables.
        may_be_others: Whether names of no secret are left out, as a `.env` has some; else they are
            mistakes.
    """

    by_name: Mapping[str, Any] = field(repr=False)
    may_be_others: bool


def read_values(file: Path) -> Values:
    """Read a file of values: `.json`, `.yml` or `.yaml`, and any other name as Meltano's `.env`.

    Of YAML, numbers and the like are taken as they are written: `0123` is a text of four.

    Raises:
        UsageError: It holds something else. The message quotes nothing of it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no UTF-8: save it as such") from None
    if file.suffix == ".json":
        return Values(_json(file, text), may_be_others=False)
    if file.suffix in (".yml", ".yaml"):
        return Values(_yaml(file, text), may_be_others=False)
    try:
        import dotenv  # noqa: PLC0415 - of an extra, which only this needs
    except ImportError:
        msg = "reading a .env needs the extra: pip install 'meltano-dag-factory[secrets]'"
        raise UsageError(msg) from None
    return Values(dotenv.dotenv_values(stream=io.StringIO(text)), may_be_others=True)


def _json(file: Path, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{file}:{getattr(error, 'lineno', 1)} is no JSON: correct it") from None
    return _mapping(file, values)


def _yaml(file: Path, text: str) -> dict[str, Any]:
    problems = Problems()
    values = read_yaml_file(file, problems)
    for problem in problems:
        place = f"{file}:{problem.location.line}"
        raise UsageError(f"{place} is not the YAML that Meltano reads: quote the value")
    written = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts
    return {
        str(key): written.get(str(key), value) if _is_scalar(value) else as_json_value(value)
        for key, value in _mapping(file, values).items()
    }


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _mapping(file: Path, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UsageError(f"{file} holds no names and values: write `NAME: value` into it")
    return values


def known_names(need: SecretNeed, *, by_setting: bool) -> dict[str, str]:
    """Return the plugin's settings, by the variables that Meltano reads them from.

    Args:
        need: A secret of a plugin.
        by_setting: Whether by their own names and aliases, too.
    """
    return {
        name: setting.name
        for setting in need.settings
        for name in (
            *setting.env_vars,
            *((setting.name, *setting.aliases) if by_setting else ()),
        )
    }


def choose_values(
    needs: Sequence[SecretNeed], values: Values, *, by_setting: bool
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """Return the values of each secret, by settings or variables, and the names of no secret.

    Args:
        needs: The secrets. Those of variables take all, as nobody knows their names before.
        values: What there is; empty ones are left out.
        by_setting: Whether names of settings count too, as one secret alone is meant.

    Raises:
        UsageError: A name of no secret is a mistake.
    """
    filled = {name: each for name, each in values.by_name.items() if each not in ("", None)}
    chosen: dict[str, dict[str, Any]] = {}
    known: dict[str, str] = {}
    for need in needs:
        names = known_names(need, by_setting=by_setting) if need.plugin else {n: n for n in filled}
        chosen[need.name] = {names[name]: filled[name] for name in filled if name in names}
        known |= names
    left = tuple(name for name in filled if name not in known)
    if left and not values.may_be_others:
        whose = " or ".join(repr(each.short_name) for each in needs)
        hint = guess(left[0], known, f"write one of {', '.join(known)}")
        raise UsageError(f"{left[0]!r} is no setting of {whose}; {hint}")
    return chosen, left


def plan_change(report: SecretReport, old: str | None, values: Mapping[str, Any]) -> SecretChange:
    """Return a secret with new values; its other keys stay.

    Args:
        report: How it is.
        old: What it holds, if anything.
        values: By names of settings or of variables.

    Raises:
        UsageError: No task could use it.
    """
    need = report.need
    try:
        kept = secret_object(old) if old is not None else {}
    except ValueError:
        kept = {}
    keys = {each.name: _key(each, kept) for each in need.settings}
    keyed = {keys.get(name, name): value for name, value in values.items()}
    text = json.dumps({**kept, **keyed})
    try:
        secret_variables(need.name, text, of_plugin=need.plugin is not None)
    except ValueError as error:
        raise UsageError(f"the secret {need.name!r} would be of no use: it {error}") from None
    return SecretChange(
        name=need.name,
        text=text,
        added=tuple(each for each in keyed if each not in kept),
        changed=tuple(each for each in keyed if each in kept and kept[each] != keyed[each]),
        is_new=report.state in (State.MISSING, State.INHERITED),
        replaces=report.state is State.MALFORMED and not kept,
    )


def _key(setting: Setting, present: Iterable[str]) -> str:
    """Return the key that holds a setting, or would: Meltano refuses two of one setting."""
    return next((each for each in present if as_variable(each) in spellings(setting)), setting.name)
