"""The findings of `meltano-dags secrets doctor`: a pod's look-ups with the caller's own rights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dag_factory.cli.secrets.needs import SecretNeed, State, report_secrets
from dag_factory.errors import SecretsError
from dag_factory.planning.secret_names import SecretName
from dag_factory.secrets.aws import Fetched, caller_arn, fetch_secrets

_UNKNOWN_CALLER = "arn:aws:sts::ACCOUNT:"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: What was checked.
        wrong: What is wrong, and what to do; empty if nothing is wrong.
        warnings: What may be wrong although a task starts.
        statement: The statement that the policy of the role lacks.
    """

    what: str
    wrong: str = ""
    warnings: tuple[str, ...] = ()
    statement: dict[str, Any] | None = None


def examine(needs: Sequence[SecretNeed]) -> Iterator[Finding]:
    """Yield what a task that reads these secrets will find.

    Args:
        needs: The secrets, at least one.
    """
    try:
        arn = who = caller_arn()
    except SecretsError:
        arn, who = _UNKNOWN_CALLER, "a caller whom STS does not name"
    call = f"Secrets Manager, asked by {who}"
    try:
        fetched = fetch_secrets([each.name for each in needs])
    except SecretsError as error:
        lacking = _statement(error.denied_action, "*") if error.denied_action else None
        yield Finding(call, str(error), statement=lacking)
    else:
        yield Finding(f"{call} in {fetched.region}")
        yield from _examine_each(needs, fetched, arn)


def _examine_each(needs: Sequence[SecretNeed], fetched: Fetched, arn: str) -> Iterator[Finding]:
    for report in report_secrets(needs, fetched, {}):
        wrong = f"{report.state}: {report.hint}" if report.state.is_wrong else ""
        lacking = None
        if report.state is State.DENIED:
            lacking = _lacking_statement(report.need.name, fetched, arn)
        warnings = tuple(
            f"{key!r} is not a setting: {hint}" for key, hint in report.unread_keys.items()
        )
        yield Finding(str(report.need.name), wrong, warnings, lacking)


def _lacking_statement(name: SecretName, fetched: Fetched, arn: str) -> dict[str, Any]:
    """Return the statement that a role needs so that it may read a secret."""
    _, partition, _, _, account, *_ = arn.split(":")
    place = f"{fetched.region}:{account}"
    fault = fetched.faults[name]
    if fault.of_key:
        via = {"kms:ViaService": f"secretsmanager.{fetched.region}.amazonaws.com"}
        statement = _statement(fault.needed_action, f"arn:{partition}:kms:{place}:key/KEY")
        return {**statement, "Condition": {"StringEquals": via}}
    resource = f"arn:{partition}:secretsmanager:{place}:secret:{name.folder}/*"
    return _statement(fault.needed_action, resource)


def _statement(action: str, resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}
