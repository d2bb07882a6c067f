"""AWS Secrets Manager, called with the credentials of this process.

What AWS says about a secret may quote it, so an error repeats no more than a code.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dag_factory.errors import SecretsError
from dag_factory.planning.secret_names import SecretName

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

INSTALL_EXTRA = "pip install 'meltano-dag-factory[secrets]'"
"""The command that installs boto3, and what the commands about secrets need besides."""
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
_BATCH_CALL = "BatchGetSecretValue"
_BATCH_SIZE = 20
_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_MAX_ATTEMPTS = 3
_NOT_FOUND = "ResourceNotFoundException"
_DENIED_CODES = re.compile(r"AccessDenied|DecryptionFailure|EncryptionFailure")
_TEMPORARY_CODES = re.compile(r"Internal|Throttl|TooManyRequests|LimitExceeded|Unavailable|Timeout")
_TEMPORARY = "the fault may be temporary, retry later"
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Fault:
    """The reason why AWS does not return a secret.

    Attributes:
        code: The error code of AWS.
        of_key: Whether the KMS key of the secret may not be used, rather than the secret.
    """

    code: str
    of_key: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether the secret does not exist."""
        return self.code == _NOT_FOUND

    @property
    def is_denied(self) -> bool:
        """Whether the role lacks a right."""
        return _DENIED_CODES.search(self.code) is not None

    @property
    def is_temporary(self) -> bool:
        """Whether a later attempt may succeed."""
        return _TEMPORARY_CODES.search(self.code) is not None

    @property
    def needed_action(self) -> str:
        """The IAM action that a role needs to read the secret, where it is denied."""
        return "kms:Decrypt" if self.of_key else "secretsmanager:GetSecretValue"

    @property
    def hint(self) -> str:
        """What to do about a secret that exists."""
        if self.is_denied:
            return f"allow {self.needed_action} on {'its key' if self.of_key else 'it'}"
        return _TEMPORARY if self.is_temporary else "restore it, if it is being deleted"


ACCESS_DENIED = Fault("AccessDeniedException")


@dataclass(frozen=True)
class Fetched:
    """What AWS answers for the names of secrets.

    Attributes:
        texts: The content of each secret that AWS returns; `None` for binary content.
        faults: Why AWS does not return the others.
        region: The region of AWS that was asked.
    """

    texts: Mapping[SecretName, str | None] = field(repr=False)
    faults: Mapping[SecretName, Fault]
    region: str

    def is_missing(self, name: SecretName) -> bool:
        """Return whether a secret does not exist."""
        fault = self.faults.get(name)
        return name not in self.texts and (fault is None or fault.is_missing)


def fetch_secrets(names: Sequence[SecretName]) -> Fetched:
    """Read secrets, as a task does, each once.

    Raises:
        SecretsError: AWS cannot be asked, or rejects the call.
    """
    by_id = {str(each): each for each in names}
    texts: dict[str, str | None] = {}
    faults: dict[str, Fault] = {}
    with _client("secretsmanager") as client:
        for answer in _answers(client, [*by_id]):
            found = answer.get("SecretValues", ())
            texts |= {each["Name"]: each.get("SecretString") for each in found}
            faults |= {each["SecretId"]: _read_fault(each) for each in answer.get("Errors", ())}
        return Fetched(
            {name: texts[key] for key, name in by_id.items() if key in texts},
            {name: faults[key] for key, name in by_id.items() if key in faults},
            client.meta.region_name,
        )


def value_dates(names: Iterable[SecretName]) -> dict[SecretName, datetime | None]:
    """Return when each secret got its current value.

    Returns:
        `None` for a secret that does not exist; a secret about which AWS says nothing is left out.

    Raises:
        SecretsError: AWS cannot be asked.
    """
    found: dict[SecretName, datetime | None] = {}
    with _client("secretsmanager") as client:
        for name in names:
            try:
                versions = client.list_secret_version_ids(SecretId=str(name))["Versions"]
            except client.exceptions.ResourceNotFoundException:
                found[name] = None
            except client.exceptions.ClientError:
                continue
            else:
                current = (
                    each for each in versions if "AWSCURRENT" in each.get("VersionStages", ())
                )
                found[name] = next((each["CreatedDate"] for each in current), None)
    return found


def write_secret(name: SecretName, text: str) -> None:
    """Give a secret a new version, or create it.

    Raises:
        SecretsError: AWS cannot be asked, or rejects the call.
    """
    with _client("secretsmanager") as client:
        try:
            client.put_secret_value(SecretId=str(name), SecretString=text)
        except client.exceptions.ResourceNotFoundException:
            client.create_secret(Name=str(name), SecretString=text)


def caller_arn() -> str:
    """Return the ARN of the caller, which AWS tells everybody.

    Raises:
        SecretsError: AWS cannot be asked.
    """
    with _client("sts") as client:
        return str(client.get_caller_identity()["Arn"])


@contextmanager
def _client(service: str) -> Iterator[Any]:
    """Yield a client of AWS, and turn its errors into ours.

    Raises:
        SecretsError: The message says what to do.
    """
    try:
        import boto3  # noqa: PLC0415 - 0.2 s, and only needed where there are secrets
        from botocore import exceptions  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.parsers import ResponseParserError  # noqa: PLC0415
    except ImportError:
        msg = f"boto3, which reads secrets from AWS, is not installed: {INSTALL_EXTRA}"
        raise SecretsError(msg) from None
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _MAX_ATTEMPTS, "mode": "standard"},
    )
    try:
        with _quiet_botocore():
            yield boto3.session.Session().client(service, config=config)
    except exceptions.ClientError as error:
        raise _rejected(error) from None
    except (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.MetadataRetrievalError,
        exceptions.CredentialRetrievalError,
        ResponseParserError,
    ) as error:
        hint = f"({type(error).__name__}): check the network and AWS_DEFAULT_REGION"
        raise SecretsError(f"AWS cannot be reached {hint}", is_temporary=True) from None
    except exceptions.NoCredentialsError:
        hint = "give the task's service account or machine a role; at a terminal, set AWS_PROFILE"
        raise SecretsError(f"there are no AWS credentials: {hint}") from None
    except exceptions.NoRegionError:
        raise SecretsError("no AWS region is set; set AWS_DEFAULT_REGION") from None
    except (exceptions.BotoCoreError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SecretsError(f"the AWS client cannot be set up: {reason}") from None


@contextmanager
def _quiet_botocore() -> Iterator[None]:
    """Keep botocore from logging everything that AWS answers, as it does at level DEBUG."""
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
    """Yield the answers of AWS: it takes twenty names at once, and may answer in pages."""
    for start in range(0, len(names), _BATCH_SIZE):
        request: dict[str, Any] = {"SecretIdList": names[start : start + _BATCH_SIZE]}
        while request:
            answer = client.batch_get_secret_value(**request)
            yield answer
            more = answer.get("NextToken")
            request = {**request, "NextToken": more} if more else {}


def _read_fault(answer: Mapping[str, str]) -> Fault:
    """Return why AWS does not return a secret; only its message says that a key is denied."""
    code = answer["ErrorCode"]
    return Fault(code, "cryptionFailure" in code or "KMS" in answer.get("Message", ""))


def _rejected(error: ClientError) -> SecretsError:
    """Return what to say about a call that AWS rejects as a whole."""
    answer, call = error.response["Error"], error.operation_name
    fault = _read_fault(
        {"ErrorCode": str(answer.get("Code")), "Message": str(answer.get("Message"))}
    )
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    is_temporary = status >= _SERVER_ERROR or fault.is_temporary
    hint, right = _TEMPORARY if is_temporary else "check the AWS credentials", ""
    if call.startswith("AssumeRole"):
        hint = "name the ServiceAccount in the trust policy of the role"
    elif fault.is_denied and fault.of_key:
        hint = "allow the role kms:Decrypt and kms:GenerateDataKey on the key of the secret"
    elif fault.is_denied:
        right = f"secretsmanager:{call}"
        hint = f"allow the role {right} on {'*' if call == _BATCH_CALL else 'the secret'}"
    msg = f"AWS rejects {call} ({fault.code}): {hint}"
    return SecretsError(msg, is_temporary=is_temporary, denied_action=right)
