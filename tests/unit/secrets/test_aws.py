"""The calls to AWS besides those of a task, which are in test_values."""

from datetime import UTC, datetime

import pytest

from dag_factory.errors import SecretsError
from dag_factory.planning.secret_names import SecretName
from dag_factory.secrets.aws import caller_arn, fetch_secrets, value_dates, write_secret
from tests.support.secret_project import CONTENT

A, B = (SecretName("acme", "dev", each) for each in "ab")
TIME = 1_750_000_000


def refused(call, *arguments):
    with pytest.raises(SecretsError) as caught:
        call(*arguments)
    assert CONTENT not in str(caught.value)
    return str(caught.value), caught.value.denied_action


def test_a_secret_is_created_and_then_has_new_versions(secrets_manager):
    for text in ('{"k": "old"}', '{"k": "new"}'):
        write_secret(A, text)
        assert secrets_manager.text(str(A)) == text
    assert secrets_manager.names() == ["acme/dev/meltano/a"]


def test_the_age_is_that_of_what_it_holds_now(answers):
    answers.body = lambda _: {
        "Versions": [
            {"VersionId": "1", "VersionStages": ["AWSPREVIOUS"], "CreatedDate": TIME - 9},
            {"VersionId": "2", "VersionStages": ["AWSCURRENT"], "CreatedDate": TIME},
        ]
    }
    assert value_dates([A]) == {A: datetime.fromtimestamp(TIME, UTC)}


def test_one_without_a_version_counts_as_missing(answers):
    answers.body = lambda _: {"Versions": []}
    assert value_dates([A]) == {A: None}


def test_what_is_not_there_and_what_nobody_tells_of_differ(secrets_manager, answers):
    answers.refuse(400, "ResourceNotFoundException")
    assert value_dates([A]) == {A: None}
    answers.refuse(400, "AccessDeniedException")
    assert value_dates([A]) == {}


def test_a_denied_key_is_told_from_a_denied_secret(answers):
    def answer(asked):
        said = ("User: arn:x is not authorized", "Access to KMS is not allowed")
        return {
            "Errors": [
                {"SecretId": name, "ErrorCode": "AccessDeniedException", "Message": message}
                for name, message in zip(asked["SecretIdList"], said, strict=True)
            ]
        }

    answers.body = answer
    faults = fetch_secrets([A, B]).faults
    assert {name: (each.is_denied, each.of_key) for name, each in faults.items()} == {
        A: (True, False),
        B: (True, True),
    }


def test_a_right_that_is_lacking_is_named(answers):
    answers.refuse(400, "AccessDeniedException")
    said, denied_action = refused(write_secret, A, CONTENT)
    assert denied_action == "secretsmanager:PutSecretValue"
    assert said == (
        "AWS rejects PutSecretValue (AccessDeniedException): allow the role"
        " secretsmanager:PutSecretValue on the secret"
    )


def test_a_key_that_may_not_be_used_is_named(answers):
    answers.refuse(400, "EncryptionFailure")
    said, denied_action = refused(write_secret, A, CONTENT)
    assert said.endswith(
        "allow the role kms:Decrypt and kms:GenerateDataKey on the key of the secret"
    )
    assert denied_action == ""


def test_who_asks(secrets_manager):
    assert caller_arn().startswith("arn:aws:sts::")


def test_an_answer_that_is_not_of_aws_is_told_without_its_text(answers):
    answers.body = lambda _: f"<html>{CONTENT}"
    said, _ = refused(caller_arn)
    assert said.startswith("AWS cannot be reached (ResponseParserError)")
