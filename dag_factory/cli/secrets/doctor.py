"""What `meltano-dags secrets doctor` finds: it tries what a pod will try, as whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dag_factory.cli.secrets.needs import SecretNeed, State, report_secrets
from dag_factory.errors import SecretsError
from dag_factory.secrets.aws import Fetched, caller, fetch_secrets

_NOBODY = "arn:aws:sts::ACCOUNT:"


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: What was tried.
        wrong: What is wrong, and what to do; empty where it went well.
        warnings: What may be wrong although a task starts.
        statement: What the policy of the role lacks.
    """

    what: str
    wrong: str = ""
    warnings: tuple[str, ...] = ()
    statement: dict[str, Any] | None = None


def examine(needs: Sequence[SecretNeed]) -> Iterator[Finding]:
    """Yield what goes well and what does not for a task that reads these secrets.

    Args:
        needs: The secrets, of which there is one at least.
    """
    try:
        arn = who = caller()
    except SecretsError:
        arn, who = _NOBODY, "somebody whom STS does not name"
    asked = f"Secrets Manager, asked by {who}"
    try:
        fetched = fetch_secrets([each.name for each in needs])
    except SecretsError as error:
        lacking = _statement(error.lacks, "*") if error.lacks else None
        yield Finding(asked, str(error), statement=lacking)
    else:
        yield Finding(f"{asked} in {fetched.region}")
        yield from _secrets(needs, fetched, arn)


def _secrets(needs: Sequence[SecretNeed], fetched: Fetched, arn: str) -> Iterator[Finding]:
    for report in report_secrets(needs, fetched, {}):
        wrong = f"{report.state}: {report.hint}" if report.state.is_wrong else ""
        lacking = None
        if report.state is State.DENIED:
            lacking = _of_secret(report.need.name, fetched, arn)
        warnings = (f"{key!r} is no setting: {hint}" for key, hint in report.unread_keys.items())
        yield Finding(report.need.name, wrong, tuple(warnings), lacking)


def _of_secret(name: str, fetched: Fetched, arn: str) -> dict[str, Any]:
    """Return the statement that a role lacks that may not read a secret."""
    _, partition, _, _, account, *_ = arn.split(":")
    place = f"{fetched.region}:{account}"
    if fetched.faults[name].of_key:
        via = {"kms:ViaService": f"secretsmanager.{fetched.region}.amazonaws.com"}
        statement = _statement("kms:Decrypt", f"arn:{partition}:kms:{place}:key/KEY")
        return {**statement, "Condition": {"StringEquals": via}}
    folder, *_ = name.partition("/meltano/")
    resource = f"arn:{partition}:secretsmanager:{place}:secret:{folder}/meltano/*"
    return _statement("secretsmanager:GetSecretValue", resource)


def _statement(action: str, resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}
