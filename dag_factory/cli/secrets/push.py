"""What `meltano-dags secrets push` would write into a secret, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dag_factory.cli.secrets.needs import SecretReport, State
from dag_factory.cli.secrets.report_output import detail_line
from dag_factory.errors import InvalidValueError, UsageError
from dag_factory.planning.secret_names import SecretName
from dag_factory.project.plugins import Setting
from dag_factory.secrets.unread_keys import as_variable, spellings
from dag_factory.secrets.values import secret_object, secret_variables


@dataclass(frozen=True)
class SecretChange:
    """A secret as it would be written.

    Attributes:
        name: Its name in AWS Secrets Manager.
        text: Its new content.
        added: The keys that it does not have yet.
        changed: The keys whose values change.
        is_new: Whether the secret does not exist yet.
        replaces: Whether it would lose its content, which is not a JSON object.
    """

    name: SecretName
    text: str = field(repr=False)
    added: tuple[str, ...]
    changed: tuple[str, ...]
    is_new: bool
    replaces: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that get a value."""
        return self.added + self.changed


def plan_change(report: SecretReport, old: str | None, values: Mapping[str, Any]) -> SecretChange:
    """Return a secret with new values; its other keys stay.

    Args:
        report: The secret and its state.
        old: Its present content, if it has any.
        values: The new values, by names of settings or of variables.

    Raises:
        UsageError: No task could use the result.
    """
    need = report.need
    try:
        kept = secret_object(old) if old is not None else {}
    except InvalidValueError:
        kept = {}
    keys = {each.name: _key_of(each, kept) for each in need.settings}
    keyed = {keys.get(name, name): value for name, value in values.items()}
    text = json.dumps({**kept, **keyed})
    try:
        secret_variables(need.name, text, of_plugin=need.plugin is not None)
    except InvalidValueError as error:
        msg = f"no task could use the secret '{need.name}': it {error.reason}"
        raise UsageError(msg) from None
    return SecretChange(
        name=need.name,
        text=text,
        added=tuple(each for each in keyed if each not in kept),
        changed=tuple(each for each in keyed if each in kept and kept[each] != keyed[each]),
        is_new=report.state in (State.MISSING, State.INHERITED),
        replaces=report.state is State.MALFORMED and not kept,
    )


def _key_of(setting: Setting, present: Iterable[str]) -> str:
    """Return the key for a setting: the present one, as Meltano rejects two keys for a setting."""
    return next((each for each in present if as_variable(each) in spellings(setting)), setting.name)


def change_lines(change: SecretChange) -> Iterator[str]:
    """Yield the lines that tell what would be written, without values."""
    how = "is created" if change.is_new else "gets a new version"
    if change.replaces:
        how = "is not a JSON object: all that it holds is replaced"
    yield f"{change.name}  ({how})"
    if change.added:
        yield detail_line("sets", ", ".join(change.added))
    if change.changed:
        yield detail_line("changes", ", ".join(change.changed))
    if not change.keys:
        yield detail_line("holds", "nothing: its plugin needs no secret")
