"""What the secrets of a task hold, read from AWS Secrets Manager when it starts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dag_factory.errors import InvalidValueError, SecretsError
from dag_factory.planning.secret_names import SecretName, SecretPlan
from dag_factory.project.plugins import env_var
from dag_factory.secrets.aws import Fetched, fetch_secrets

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SecretValues:
    """What the secrets of a task hold.

    Attributes:
        variables: The values, by the environment variables from which Meltano reads them.
        keys: The keys of each plugin's secret.
    """

    variables: Mapping[str, str] = field(repr=False)
    keys: Mapping[SecretName, tuple[str, ...]]


def read_secrets(secrets: Sequence[SecretPlan]) -> SecretValues:
    """Read the secrets of a task; nothing is kept for the next call.

    Raises:
        SecretsError: A secret cannot be read, or its content cannot be used.
    """
    if not secrets:
        return SecretValues({}, {})
    names = [*dict.fromkeys(name for each in secrets for name in each.names)]
    try:
        fetched = fetch_secrets(names)
    except SecretsError as error:
        listed = ", ".join(f"'{each}'" for each in names)
        raise SecretsError(
            f"{error}; the task reads {listed}", is_temporary=error.is_temporary
        ) from None
    variables: dict[str, str] = {}
    keys: dict[SecretName, tuple[str, ...]] = {}
    failures = [*_failures(secrets, fetched)]
    for secret in secrets:
        for name in filter(fetched.texts.__contains__, secret.names):
            text = fetched.texts[name]
            try:
                variables |= secret_variables(name, text, of_plugin=secret.of_plugin)
                keys |= {name: tuple(secret_object(text))} if secret.of_plugin else {}
            except InvalidValueError as error:
                key = "setting" if secret.of_plugin else "VARIABLE"
                hint = f'write {{"{key}": "value"}} into it'
                failures.append((f"the secret '{name}' {error.reason}: {hint}", False))
    if failures:
        reasons = "; ".join(reason for reason, _ in failures)
        raise SecretsError(reasons, is_temporary=all(is_temporary for _, is_temporary in failures))
    return SecretValues(variables, keys)


def origins(variables: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield lines for the log: the variables taken from secrets, and those already set.

    Args:
        variables: The variables that secrets hold.
        environ: The variables of the process, which override them.
    """
    if taken := sorted(variables.keys() - environ.keys()):
        yield f"From AWS Secrets Manager: {', '.join(taken)}"
    for name in sorted(variables.keys() & environ.keys()):
        yield f"{name} is set where the task runs, which overrides its secret"


def _failures(secrets: Iterable[SecretPlan], fetched: Fetched) -> Iterator[tuple[str, bool]]:
    """Yield why secrets cannot be read, and whether a retry may help."""
    for name, fault in fetched.faults.items():
        if fault.is_denied:
            yield f"the task may not read the secret '{name}': {fault.hint}", False
        elif not fault.is_missing:
            reason = f"AWS does not return the secret '{name}' ({fault.code}): {fault.hint}"
            yield reason, fault.is_temporary
    for secret in secrets:
        if all(map(fetched.is_missing, secret.names)):
            names = " or ".join(f"'{each}'" for each in secret.names)
            hint = "create it" + (", with {} if its plugin needs none" * secret.of_plugin)
            yield f"there is no secret {names} in {fetched.region}: {hint}", False


def secret_variables(name: SecretName, text: str | None, *, of_plugin: bool) -> dict[str, str]:
    """Return the environment variables that a secret gives to Meltano.

    The variable of a setting begins with the plugin that owns the secret: a plugin that inherits
    takes the variables of its parent. A value other than text becomes JSON, which Meltano reads.

    Args:
        name: Its name.
        text: Its content; `None` for binary content.
        of_plugin: Whether its keys are settings of the plugin; otherwise they are variables.

    Raises:
        InvalidValueError: The reason says what is wrong with the secret, never what it holds.
    """
    variables = {}
    for key, value in secret_object(text).items():
        if not key or not (of_plugin or _VARIABLE.fullmatch(key)):
            raise InvalidValueError(
                "has a key that cannot name an environment variable (letters, digits, _)"
            )
        if value is None:
            raise InvalidValueError(f"has null for {key!r}")
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not _fits_variable(written):
            raise InvalidValueError(f"has a character in {key!r} that no variable can hold")
        variables[env_var(name.short_name, key) if of_plugin else key] = written
    return variables


def secret_object(text: str | None) -> dict[str, Any]:
    """Return the keys and values of a secret, as they are written.

    Raises:
        InvalidValueError: It is binary, or not a JSON object.
    """
    if text is None:
        raise InvalidValueError("is binary")
    try:
        values = json.loads(text)
    except (RecursionError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise InvalidValueError("is not a JSON object")
    return values


def _fits_variable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
