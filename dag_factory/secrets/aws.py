"""AWS Secrets Manager, asked with the credentials of this process.

What AWS says of a secret may quote it, so no error repeats more than a code.
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

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
_BATCH_CALL = "BatchGetSecretValue"
_BATCH = 20
_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_TRIES = 3
_MISSING = "ResourceNotFoundException"
_DENIED = re.compile(r"AccessDenied|DecryptionFailure|EncryptionFailure")
_MAY_PASS = re.compile(r"Internal|Throttl|TooManyRequests|LimitExceeded|Unavailable|Timeout")
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Fault:
    """Why AWS does not give a secret.

    Attributes:
        code: As AWS calls it.
        of_key: Whether it is the key of KMS that may not be used, and not the secret.
    """

    code: str
    of_key: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether there is no such secret."""
        return self.code == _MISSING

    @property
    def is_denied(self) -> bool:
        """Whether a right is lacking."""
        return _DENIED.search(self.code) is not None

    @property
    def may_pass(self) -> bool:
        """Whether a later try may succeed."""
        return _MAY_PASS.search(self.code) is not None

    @property
    def hint(self) -> str:
        """What to do where it is neither missing nor denied."""
        return "it may pass" if self.may_pass else "restore it, if it is being deleted"


@dataclass(frozen=True)
class Fetched:
    """What AWS answers to names of secrets.

    Attributes:
        texts: What they hold; `None` is a binary one.
        faults: Why others are not given.
        region: Where they were looked for.
    """

    texts: Mapping[str, str | None] = field(repr=False)
    faults: Mapping[str, Fault]
    region: str

    def lacks(self, name: str) -> bool:
        """Return whether there is no such secret."""
        fault = self.faults.get(name)
        return name not in self.texts and (fault is None or fault.is_missing)


DENIED = Fault("AccessDeniedException")


def fetch_secrets(names: Sequence[str]) -> Fetched:
    """Read secrets, as a task does.

    Raises:
        SecretsError: AWS cannot be asked, or refuses to answer.
    """
    texts: dict[str, str | None] = {}
    faults: dict[str, Fault] = {}
    with _client("secretsmanager") as client:
        for answer in _answers(client, names):
            found = answer.get("SecretValues", ())
            texts |= {each["Name"]: each.get("SecretString") for each in found}
            faults |= {each["SecretId"]: _fault(each) for each in answer.get("Errors", ())}
        return Fetched(texts, faults, client.meta.region_name)


def current_since(names: Iterable[str]) -> dict[str, datetime | None]:
    """Return since when secrets hold what they hold.

    Returns:
        `None` for one that there is not; nothing for one that AWS does not tell of.

    Raises:
        SecretsError: AWS cannot be asked.
    """
    found: dict[str, datetime | None] = {}
    with _client("secretsmanager") as client:
        for name in names:
            try:
                versions = client.list_secret_version_ids(SecretId=name)["Versions"]
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


def write_secret(name: str, text: str) -> None:
    """Give a secret a new version, or create it.

    Raises:
        SecretsError: AWS cannot be asked, or refuses.
    """
    with _client("secretsmanager") as client:
        try:
            client.put_secret_value(SecretId=name, SecretString=text)
        except client.exceptions.ResourceNotFoundException:
            client.create_secret(Name=name, SecretString=text)


def caller() -> str:
    """Return the ARN of whose credentials these are, which AWS tells everybody.

    Raises:
        SecretsError: AWS cannot be asked.
    """
    with _client("sts") as client:
        return str(client.get_caller_identity()["Arn"])


@contextmanager
def _client(service: str) -> Iterator[Any]:
    """Give a client of AWS, and say what is wrong where it cannot ask.

    Raises:
        SecretsError: It says what to do.
    """
    try:
        import boto3  # noqa: PLC0415 - 0.2 s, and only where there are secrets
        from botocore import exceptions  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.parsers import ResponseParserError  # noqa: PLC0415
    except ImportError:
        extra = "pip install 'meltano-dag-factory[secrets]'"
        msg = f"boto3 is not installed, which asks AWS for secrets: {extra}"
        raise SecretsError(msg) from None
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
    )
    try:
        with _unlogged():
            yield boto3.session.Session().client(service, config=config)
    except exceptions.ClientError as error:
        raise _refused(error) from None
    except (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.MetadataRetrievalError,
        exceptions.CredentialRetrievalError,
        ResponseParserError,
    ) as error:
        hint = f"({type(error).__name__}): check the network, and AWS_DEFAULT_REGION"
        raise SecretsError(f"AWS cannot be reached {hint}", may_pass=True) from None
    except exceptions.NoCredentialsError:
        hint = "give the task a role, by its service account or its machine; a person has a profile"
        raise SecretsError(f"there are no AWS credentials: {hint}") from None
    except exceptions.NoRegionError:
        raise SecretsError("there is no AWS region: set AWS_DEFAULT_REGION") from None
    except (exceptions.BotoCoreError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SecretsError(f"AWS cannot be asked: correct this: {reason}") from None


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


def _fault(answer: Mapping[str, str]) -> Fault:
    """Return why one secret is not given; of a denied key, only the message says that it is one."""
    code = answer["ErrorCode"]
    return Fault(code, "cryptionFailure" in code or "KMS" in answer.get("Message", ""))


def _refused(error: ClientError) -> SecretsError:
    """Return what to say of a call that AWS refuses as a whole."""
    said, call = error.response["Error"], error.operation_name
    fault = _fault({"ErrorCode": str(said.get("Code")), "Message": str(said.get("Message"))})
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    may_pass = status >= _SERVER_ERROR or fault.may_pass
    hint, right = "it may pass" if may_pass else "check the AWS credentials", ""
    if call.startswith("AssumeRole"):
        hint = "let the trust policy of the role name the ServiceAccount"
    elif fault.is_denied and fault.of_key:
        hint = "allow its role kms:Decrypt and kms:GenerateDataKey on its key"
    elif fault.is_denied:
        right = f"secretsmanager:{call}"
        hint = f"allow its role {right} on {'*' if call == _BATCH_CALL else 'it'}"
    msg = f"AWS refuses {call} ({fault.code}): {hint}"
    return SecretsError(msg, may_pass=may_pass, lacks=right)
