"""What the secrets of a task hold, read from AWS Secrets Manager when it starts."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dag_factory.errors import SecretsError
from dag_factory.plan import SecretPlan
from dag_factory.plugins import env_var

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
_CALL = "BatchGetSecretValue"
_BATCH = 20
_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_TRIES = 3
_MISSING = "ResourceNotFoundException"
_DENIED = re.compile(r"AccessDenied|DecryptionFailure")
_MAY_PASS = re.compile(r"Internal|Throttl|TooManyRequests|LimitExceeded|Unavailable|Timeout")
_SERVER_ERROR = 500
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_secrets(secrets: Sequence[SecretPlan]) -> dict[str, str]:
    """Read the secrets of a task, anew each time.

    Returns:
        The variables that they hold, by the names from which Meltano reads them.

    Raises:
        SecretsError: One cannot be read, or holds what is no variable.
    """
    if not secrets:
        return {}
    texts, faults, where = _fetch([*dict.fromkeys(name for each in secrets for name in each.names)])
    variables: dict[str, str] = {}
    wrong = [*_reasons(secrets, texts, faults, where)]
    for secret in secrets:
        for name in filter(texts.__contains__, secret.names):
            try:
                variables |= _variables(name, texts[name], of_plugin=secret.of_plugin)
            except ValueError as error:
                key = "setting" if secret.of_plugin else "VARIABLE"
                hint = f'write {{"{key}": "value"}} into it'
                wrong.append((f"the secret {name!r} {error}: {hint}", False))
    if wrong:
        reasons = "; ".join(reason for reason, _ in wrong)
        raise SecretsError(reasons, may_pass=all(may_pass for _, may_pass in wrong))
    return variables


def overridden(variables: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable of a secret that is set already, and stays as it is."""
    for name in sorted(variables.keys() & environ.keys()):
        yield f"{name} is set where the task runs, and goes before its secret"


def _fetch(names: Sequence[str]) -> tuple[dict[str, str | None], dict[str, str], str]:
    """Return the text of each secret (`None` of a binary one), why others have none, and where."""
    try:
        import boto3  # noqa: PLC0415 - 0.2 s, and only where there are secrets
        from botocore import exceptions  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
    except ImportError:
        msg = "boto3 is not installed, which reads secrets: install meltano-dag-factory[secrets]"
        raise SecretsError(msg) from None
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
    )
    texts: dict[str, str | None] = {}
    faults: dict[str, str] = {}
    try:
        with _unlogged():
            client = boto3.session.Session().client("secretsmanager", config=config)
            for answer in _answers(client, names):
                found = answer.get("SecretValues", ())
                texts |= {each["Name"]: each.get("SecretString") for each in found}
                faults |= {each["SecretId"]: each["ErrorCode"] for each in answer.get("Errors", ())}
    except exceptions.ClientError as error:
        raise _refused(error, names) from None
    except (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.MetadataRetrievalError,
        exceptions.CredentialRetrievalError,
    ) as error:
        hint = f"({type(error).__name__}): check the network, and AWS_DEFAULT_REGION"
        raise _unread(f"AWS cannot be reached {hint}", names, may_pass=True) from None
    except exceptions.NoCredentialsError:
        hint = "give the task a role, by its service account or its machine"
        raise _unread(f"there are no AWS credentials: {hint}", names) from None
    except exceptions.NoRegionError:
        raise _unread("there is no AWS region: set AWS_DEFAULT_REGION", names) from None
    except (exceptions.BotoCoreError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise _unread(f"AWS cannot be asked: correct this: {reason}", names) from None
    return texts, faults, client.meta.region_name


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep botocore out of the log, where it writes all that AWS answers at level DEBUG."""
    loggers = [logging.getLogger(name) for name in ("botocore", "botocore.parsers")]
    levels = [each.level for each in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _answers(client: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what AWS answers, to twenty names at once; it may answer in parts."""
    for start in range(0, len(names), _BATCH):
        asked: dict[str, Any] = {"SecretIdList": names[start : start + _BATCH]}
        while asked:
            answer = client.batch_get_secret_value(**asked)
            yield answer
            more = answer.get("NextToken")
            asked = {**asked, "NextToken": more} if more else {}


def _refused(error: ClientError, names: Sequence[str]) -> SecretsError:
    """Return what to say of a call that AWS refuses as a whole."""
    code, call = str(error.response["Error"].get("Code")), error.operation_name
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    may_pass = status >= _SERVER_ERROR or _MAY_PASS.search(code) is not None
    hint = "it may pass" if may_pass else "check the AWS credentials of the task"
    if call == _CALL and _DENIED.search(code):
        hint = f"allow its role secretsmanager:{_CALL} on *"
    return _unread(f"AWS refuses {call} ({code}): {hint}", names, may_pass=may_pass)


def _unread(reason: str, names: Sequence[str], *, may_pass: bool = False) -> SecretsError:
    listed = ", ".join(map(repr, names))
    return SecretsError(f"{reason}; the task reads {listed}", may_pass=may_pass)


def _reasons(
    secrets: Iterable[SecretPlan],
    texts: Mapping[str, str | None],
    faults: Mapping[str, str],
    where: str,
) -> Iterator[tuple[str, bool]]:
    """Yield why secrets cannot be read, and whether that may pass."""
    for name, code in faults.items():
        if _DENIED.search(code):
            hint = "allow its role secretsmanager:GetSecretValue on it, and kms:Decrypt on its key"
            yield f"the task may not read the secret {name!r}: {hint}", False
        elif code != _MISSING:
            may_pass = _MAY_PASS.search(code) is not None
            hint = "it may pass" if may_pass else "restore it, if it is being deleted"
            yield f"AWS does not give the secret {name!r} ({code}): {hint}", may_pass
    for secret in secrets:
        if all(name not in texts and faults.get(name) in (None, _MISSING) for name in secret.names):
            hint = "create it" + (", with {} where its plugin needs none" * secret.of_plugin)
            known = " or ".join(map(repr, secret.names))
            yield f"there is no secret {known} in {where}: {hint}", False


def _variables(name: str, text: str | None, *, of_plugin: bool) -> Iterator[tuple[str, str]]:
    """Yield the variables of a secret.

    The variable of a setting is that of the plugin whose secret it is: Meltano takes what a plugin
    inherits from that of its parent. What is no text is JSON, as Meltano reads it.

    Raises:
        ValueError: What is wrong with the secret.
    """
    if text is None:
        raise ValueError("is binary")
    try:
        values = json.loads(text)
    except (RecursionError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - one kind of error for one caller
    plugin = name.rpartition("/")[2]
    for key, value in values.items():
        variable = env_var(plugin, key) if of_plugin else key
        if not key or not (of_plugin or _VARIABLE.fullmatch(key)):
            raise ValueError("has a key that is no name of a variable")
        if value is None:
            raise ValueError(f"has null for {key!r}")
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if not _is_storable(written):
            raise ValueError(f"has a character for {key!r} that no variable can hold")
        yield variable, written


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
