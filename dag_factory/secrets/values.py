"""What the secrets of a task hold, read from AWS Secrets Manager when it starts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dag_factory.errors import SecretsError
from dag_factory.planning.plan import SecretPlan
from dag_factory.project.plugins import env_var
from dag_factory.secrets.aws import Fetched, fetch_secrets

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SecretValues:
    """What the secrets of a task hold.

    Attributes:
        variables: By the names from which Meltano reads them.
        keys: Those of plugins' secrets, by the names of the secrets.
    """

    variables: Mapping[str, str] = field(repr=False)
    keys: Mapping[str, tuple[str, ...]]


def read_secrets(secrets: Sequence[SecretPlan]) -> SecretValues:
    """Read the secrets of a task, anew each time.

    Raises:
        SecretsError: One cannot be read, or holds what is no variable.
    """
    if not secrets:
        return SecretValues({}, {})
    names = [*dict.fromkeys(name for each in secrets for name in each.names)]
    try:
        fetched = fetch_secrets(names)
    except SecretsError as error:
        listed = ", ".join(map(repr, names))
        raise SecretsError(f"{error}; the task reads {listed}", may_pass=error.may_pass) from None
    variables: dict[str, str] = {}
    keys: dict[str, tuple[str, ...]] = {}
    wrong = [*_reasons(secrets, fetched)]
    for secret in secrets:
        for name in filter(fetched.texts.__contains__, secret.names):
            text = fetched.texts[name]
            try:
                variables |= secret_variables(name, text, of_plugin=secret.of_plugin)
                keys |= {name: tuple(secret_object(text))} if secret.of_plugin else {}
            except ValueError as error:
                key = "setting" if secret.of_plugin else "VARIABLE"
                hint = f'write {{"{key}": "value"}} into it'
                wrong.append((f"the secret {name!r} {error}: {hint}", False))
    if wrong:
        reasons = "; ".join(reason for reason, _ in wrong)
        raise SecretsError(reasons, may_pass=all(may_pass for _, may_pass in wrong))
    return SecretValues(variables, keys)


def origins(variables: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield lines that tell which variables come from secrets, and which do not as they are set."""
    if taken := sorted(variables.keys() - environ.keys()):
        yield f"From AWS Secrets Manager: {', '.join(taken)}"
    for name in sorted(variables.keys() & environ.keys()):
        yield f"{name} is set where the task runs, and goes before its secret"


def _reasons(secrets: Iterable[SecretPlan], fetched: Fetched) -> Iterator[tuple[str, bool]]:
    """Yield why secrets cannot be read, and whether that may pass."""
    for name, fault in fetched.faults.items():
        if fault.is_denied:
            hint = "allow its role secretsmanager:GetSecretValue on it, and kms:Decrypt on its key"
            yield f"the task may not read the secret {name!r}: {hint}", False
        elif not fault.is_missing:
            said = f"AWS does not give the secret {name!r} ({fault.code}): {fault.hint}"
            yield said, fault.may_pass
    for secret in secrets:
        if all(map(fetched.lacks, secret.names)):
            hint = "create it" + (", with {} where its plugin needs none" * secret.of_plugin)
            known = " or ".join(map(repr, secret.names))
            yield f"there is no secret {known} in {fetched.region}: {hint}", False


def secret_variables(name: str, text: str | None, *, of_plugin: bool) -> dict[str, str]:
    """Return the variables of a secret.

    The variable of a setting is that of the plugin whose secret it is: Meltano takes what a plugin
    inherits from that of its parent. What is no text is JSON, as Meltano reads it.

    Args:
        name: Its name, which a plugin's ends.
        text: What it holds; `None` is a binary one.
        of_plugin: Whether its keys are settings of the plugin; else they are variables.

    Raises:
        ValueError: What is wrong with the secret; never what it holds.
    """
    values = secret_object(text)
    plugin = name.rpartition("/")[2]
    variables = {}
    for key, value in values.items():
        variable = env_var(plugin, key) if of_plugin else key
        if not key or not (of_plugin or _VARIABLE.fullmatch(key)):
            raise ValueError("has a key that is no name of a variable")
        if value is None:
            raise ValueError(f"has null for {key!r}")
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not _is_storable(written):
            raise ValueError(f"has a character for {key!r} that no variable can hold")
        variables[variable] = written
    return variables


def secret_object(text: str | None) -> dict[str, Any]:
    """Return the keys and values of a secret, as they are written.

    Raises:
        ValueError: It is binary, or no JSON object.
    """
    if text is None:
        raise ValueError("is binary")
    try:
        values = json.loads(text)
    except (RecursionError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - one kind of error for one caller
    return values


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
