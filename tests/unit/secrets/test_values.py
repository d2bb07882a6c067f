"""Secrets as a task reads them: with the real boto3, from a server."""

import json
import logging
import os
import sys

import pytest

from dag_factory.errors import SecretsError
from dag_factory.planning.secret_names import SecretName, SecretPlan, parse_secret_name
from dag_factory.secrets.values import origins, read_secrets
from tests.support.running import free_port

CONTENT = "hunter2-and-more"
FOLDER = "acme/dev/meltano"


def named(name):
    return SecretName("acme", "dev", name)


def of_plugin(*names):
    return SecretPlan(tuple(map(named, names)), of_plugin=True)


def of_variables(name):
    return SecretPlan((named(name),), of_plugin=False)


def said_of(*secrets):
    """Return what is said of secrets that cannot be used, and the exit code."""
    with pytest.raises(SecretsError) as caught:
        read_secrets(secrets)
    said = str(caught.value)
    assert CONTENT not in said
    assert "\n" not in said
    assert caught.value.__cause__ is None
    return said, caught.value.exit_code


def test_without_secrets_nothing_is_asked(aws_environ):
    aws_environ.delenv("AWS_DEFAULT_REGION")
    assert read_secrets(()).variables == {}


def test_the_keys_of_a_plugins_secret_are_its_settings(secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-x--eu", {"api_key": CONTENT, "auth.user": "é"})
    assert read_secrets([of_plugin("tap-x--eu")]).variables == {
        "TAP_X__EU_API_KEY": CONTENT,
        "TAP_X__EU_AUTH_USER": "é",
    }


@pytest.mark.parametrize("prefix", ["acme/meltano/x", "acme/meltano"])
def test_the_plugin_is_found_whatever_the_prefix(secrets_manager, prefix):
    text = f"{prefix}/dev/meltano/tap-a"
    secrets_manager.put(text, {"token": CONTENT})
    name = parse_secret_name(text)
    found = read_secrets([SecretPlan((name,), of_plugin=True)])
    assert (found.variables, found.keys) == ({"TAP_A_TOKEN": CONTENT}, {name: ("token",)})


def test_what_is_no_text_is_handed_on_as_json(secrets_manager):
    values = {"ids": [1, None], "key": {"a": "é"}, "port": 5432, "on": True, "none": "", "z": 1.5}
    secrets_manager.put(f"{FOLDER}/tap-x", values)
    found = read_secrets([of_plugin("tap-x")]).variables
    assert found.pop("TAP_X_NONE") == ""
    assert {name: json.loads(value) for name, value in found.items()} == {
        "TAP_X_IDS": [1, None],
        "TAP_X_KEY": {"a": "é"},
        "TAP_X_PORT": 5432,
        "TAP_X_ON": True,
        "TAP_X_Z": 1.5,
    }


def test_the_keys_of_another_secret_are_variables(secrets_manager):
    secrets_manager.put(f"{FOLDER}/shared/proxy", {"HTTPS_PROXY": CONTENT, "no_proxy": "a"})
    found = read_secrets([of_variables("shared/proxy")]).variables
    assert found == {"HTTPS_PROXY": CONTENT, "no_proxy": "a"}


@pytest.mark.parametrize("there", [("tap-b",), ("tap-a",), ("tap-b", "tap-a")])
def test_of_a_plugin_that_inherits_one_secret_is_enough_and_all_are_read(secrets_manager, there):
    for name in there:
        secrets_manager.put(f"{FOLDER}/{name}", {"k": name})
    found = read_secrets([of_plugin("tap-b", "tap-a")]).variables
    assert sorted(found.values()) == sorted(there)
    assert set(found) <= {"TAP_A_K", "TAP_B_K"}


def test_each_task_reads_again(secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-x", {"k": "old"})
    assert read_secrets([of_plugin("tap-x")]).variables == {"TAP_X_K": "old"}
    secrets_manager.change(f"{FOLDER}/tap-x", {"k": "new"})
    assert read_secrets([of_plugin("tap-x")]).variables == {"TAP_X_K": "new"}


@pytest.mark.parametrize(
    ("count", "batches"), [(1, [1]), (20, [20]), (21, [20, 1]), (41, [20, 20, 1])]
)
def test_twenty_are_asked_for_at_once_and_none_twice(answers, count, batches):
    answers.give('{"k": "v"}')
    secrets = [of_plugin(f"tap-{number}") for number in range(count)]
    assert len(read_secrets(secrets * 2).variables) == count
    assert [len(asked["SecretIdList"]) for asked in answers.asked] == batches


def test_an_answer_in_pages_is_read_to_its_end(answers):
    def page(asked):
        name = asked["SecretIdList"]["NextToken" in asked]
        found = {"SecretValues": [{"Name": name, "SecretString": '{"k": "v"}'}]}
        return found if "NextToken" in asked else {**found, "NextToken": "more"}

    answers.body = page
    found = read_secrets([of_plugin("tap-a"), of_plugin("tap-b")]).variables
    assert found == {"TAP_A_K": "v", "TAP_B_K": "v"}


def test_what_is_missing_is_named_and_all_at_once(secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-x", {"k": CONTENT})
    secrets_manager.put(f"{FOLDER}/tap-y", CONTENT)
    names = [of_plugin("tap-x"), of_plugin("tap-y"), of_plugin("tap-b", "tap-a"), of_variables("p")]
    said, code = said_of(*names)
    assert code == os.EX_CONFIG
    assert said == (
        "there is no secret 'acme/dev/meltano/tap-b' or 'acme/dev/meltano/tap-a' in eu-west-1:"
        " create it, with {} if its plugin needs none;"
        " there is no secret 'acme/dev/meltano/p' in eu-west-1: create it;"
        " the secret 'acme/dev/meltano/tap-y' is not a JSON object:"
        ' write {"setting": "value"} into it'
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT, "is not a JSON object"),
        (json.dumps(CONTENT), "is not a JSON object"),
        (json.dumps([CONTENT]), "is not a JSON object"),
        ('{"k": "' + CONTENT, "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
        (CONTENT.encode(), "is binary"),
        ({"k": CONTENT, "p": None}, "has null for 'p'"),
        ({"k": f"{CONTENT}\0"}, "has a character in 'k' that no variable can hold"),
        (f'{{"k": "{CONTENT}\\ud800"}}', "has a character in 'k' that no variable can hold"),
        ({"": CONTENT}, "has a key that cannot name an environment variable (letters, digits, _)"),
    ],
)  # fmt: skip
def test_what_is_no_object_of_values_is_told_without_what_it_holds(
    secrets_manager, content, reason
):
    secrets_manager.put(f"{FOLDER}/tap-x", content)
    said, code = said_of(of_plugin("tap-x"))
    assert said == f'the secret \'{FOLDER}/tap-x\' {reason}: write {{"setting": "value"}} into it'
    assert code == os.EX_CONFIG


@pytest.mark.parametrize("key", [f"{CONTENT}", "a b", "1A", "A=B", "É"])
def test_a_key_that_is_no_variable_is_told_where_it_should_be_one(secrets_manager, key):
    secrets_manager.put(f"{FOLDER}/p", {key: "v"})
    said, _ = said_of(of_variables("p"))
    reason = "has a key that cannot name an environment variable (letters, digits, _)"
    assert said == f'the secret \'{FOLDER}/p\' {reason}: write {{"VARIABLE": "value"}} into it'


def test_one_that_is_being_deleted_is_told(secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-x", {"k": CONTENT})
    secrets_manager.delete(f"{FOLDER}/tap-x")
    said, code = said_of(of_plugin("tap-x"))
    assert "(InvalidRequestException): restore it, if it is being deleted" in said
    assert code == os.EX_CONFIG


@pytest.mark.parametrize(
    ("fault", "hint", "expected"),
    [
        ("AccessDeniedException", "allow secretsmanager:GetSecretValue on it", os.EX_CONFIG),
        ("DecryptionFailure", "allow kms:Decrypt on its key", os.EX_CONFIG),
        (
            "InternalServiceError",
            "(InternalServiceError): the fault may be temporary, retry later",
            os.EX_UNAVAILABLE,
        ),
    ],
)
def test_a_secret_that_aws_does_not_give_is_told(answers, fault, hint, expected):
    answers.fail(fault)
    said, code = said_of(of_plugin("tap-x"), of_plugin("tap-y"))
    assert (said.count(hint), code) == (2, expected)
    assert all(f"'{FOLDER}/{each}'" in said for each in ("tap-x", "tap-y"))


def test_where_one_must_be_fixed_no_retry_helps(answers):
    def answer(asked):
        codes = ("InternalServiceError", "AccessDeniedException")
        errors = zip(asked["SecretIdList"], codes, strict=True)
        return {"Errors": [{"SecretId": name, "ErrorCode": code} for name, code in errors]}

    answers.body = answer
    assert said_of(of_plugin("tap-x"), of_plugin("tap-y"))[1] == os.EX_CONFIG


@pytest.mark.parametrize(
    ("status", "fault", "hint", "ends"),
    [
        (400, "AccessDeniedException", "BatchGetSecretValue on *", (os.EX_CONFIG, 1)),
        (400, "UnrecognizedClientException", "check the AWS credentials", (os.EX_CONFIG, 1)),
        (
            400,
            "ThrottlingException",
            "the fault may be temporary, retry later",
            (os.EX_UNAVAILABLE, 3),
        ),
        (
            500,
            "InternalServiceError",
            "the fault may be temporary, retry later",
            (os.EX_UNAVAILABLE, 3),
        ),
        (503, "Odd", "the fault may be temporary, retry later", (os.EX_UNAVAILABLE, 3)),
    ],
)
def test_a_call_that_aws_refuses_is_told_when_trying_again_has_not_helped(
    answers, status, fault, hint, ends
):
    answers.refuse(status, fault)
    said, code = said_of(of_plugin("tap-x"))
    assert said.startswith(f"AWS rejects BatchGetSecretValue ({fault}): ")
    assert said.endswith(f"{hint}; the task reads '{FOLDER}/tap-x'")
    assert (code, len(answers.asked)) == ends


def test_a_server_that_is_not_there_is_told_and_a_retry_may_help(aws_environ):
    aws_environ.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{free_port()}")
    said, code = said_of(of_plugin("tap-x"))
    assert said == (
        "AWS cannot be reached (EndpointConnectionError): check the network and"
        f" AWS_DEFAULT_REGION; the task reads '{FOLDER}/tap-x'"
    )
    assert code == os.EX_UNAVAILABLE


def test_a_role_that_cannot_be_had_for_the_moment_may_be_had_later(aws_environ):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environ.delenv(name)
    uri = f"http://127.0.0.1:{free_port()}/credentials"
    aws_environ.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)
    said, code = said_of(of_plugin("tap-x"))
    assert "AWS cannot be reached (" in said
    assert code == os.EX_UNAVAILABLE


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "there are no AWS credentials",
        ),
        ({"AWS_DEFAULT_REGION": None}, "no AWS region is set; set AWS_DEFAULT_REGION"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "the AWS client cannot be set up: "),
        ({"AWS_PROFILE": "none"}, "the AWS client cannot be set up: "),
        (
            {"AWS_ENDPOINT_URL_SECRETS_MANAGER": "nowhere"},
            "the AWS client cannot be set up: ",
        ),
    ],
)
def test_a_task_that_has_no_access_to_aws_at_all_is_told(
    secrets_manager, aws_environ, variables, reason
):
    for name, value in variables.items():
        if value is None:
            aws_environ.delenv(name)
        else:
            aws_environ.setenv(name, value)
    said, code = said_of(of_plugin("tap-x"))
    assert reason in said
    assert f"'{FOLDER}/tap-x'" in said
    assert code == os.EX_CONFIG


def test_without_boto3_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    said, code = said_of(of_plugin("tap-x"))
    assert "pip install 'meltano-dag-factory[secrets]'" in said
    assert code == os.EX_CONFIG


def test_a_variable_that_is_set_already_is_named_without_its_value():
    lines = [*origins({"A": CONTENT, "B": "x", "D": "y"}, {"A": "other", "C": "y"})]
    assert lines == [
        "From AWS Secrets Manager: B, D",
        "A is set where the task runs, which overrides its secret",
    ]


@pytest.mark.parametrize("name", [None, "botocore", "botocore.parsers"])
def test_no_log_level_shows_what_aws_answers(secrets_manager, caplog, name):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, name)
    secrets_manager.put(f"{FOLDER}/tap-x", {"k": CONTENT})
    assert CONTENT in caplog.text  # botocore logs what it is given, too
    caplog.clear()
    assert read_secrets([of_plugin("tap-x")]).variables == {"TAP_X_K": CONTENT}
    assert CONTENT not in caplog.text
    assert logging.getLogger(name).level == logging.DEBUG
