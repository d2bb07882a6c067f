import json
import re

import pytest

from dag_factory.cli.secrets.doctor import examine
from dag_factory.cli.secrets.needs import SecretNeed
from dag_factory.planning.secret_names import SecretName
from tests.support.running import CHECKOUT, free_port
from tests.support.secret_project import FOLDER


def need_of(name):
    return SecretNeed(name, None, ("j",), ((name,),), is_own=True, from_aws=True)


NAME = f"{FOLDER}/proxy"
NEED = need_of(SecretName("acme", "dev", "proxy"))
REFUSED = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{}</Arn></GetCallerIdentityResult>"
    "</GetCallerIdentityResponse>"
)
ARN_OF_DOCS = "arn:aws:sts::111122223333:assumed-role/meltano/pod"
ARN = "arn:aws-cn:sts::111122223333:assumed-role/meltano/pod"


def findings():
    return [(each.what, each.wrong, each.statement) for each in examine([NEED])]


def test_a_role_that_reads_its_secrets_lacks_nothing(secrets_manager):
    secrets_manager.put(NAME, {"A": "b"})
    (_, *wrong), other = findings()
    assert wrong == ["", None]
    assert other == (NAME, "", None)


def test_a_missing_secret_is_no_missing_right(secrets_manager):
    _, (_, wrong, statement) = findings()
    assert wrong == "missing: create it with `meltano-dags secrets push`"
    assert statement is None


@pytest.mark.parametrize(
    ("code", "message", "action", "resource"),
    [
        (
            "AccessDeniedException",
            "not authorized to perform",
            "secretsmanager:GetSecretValue",
            f"arn:aws-cn:secretsmanager:eu-west-1:111122223333:secret:{FOLDER}/*",
        ),
        (
            "AccessDeniedException",
            "Access to KMS is not allowed",
            "kms:Decrypt",
            "arn:aws-cn:kms:eu-west-1:111122223333:key/KEY",
        ),
        (
            "DecryptionFailure",
            "",
            "kms:Decrypt",
            "arn:aws-cn:kms:eu-west-1:111122223333:key/KEY",
        ),
    ],
)
def test_the_right_to_a_secret_and_that_to_its_key_are_told_apart(
    answers, code, message, action, resource
):
    def answer(asked):
        if "Action" in asked:
            return IDENTITY.format(ARN)
        return {"Errors": [{"SecretId": NAME, "ErrorCode": code, "Message": message}]}

    answers.body = answer
    (what, _, _), (_, wrong, statement) = findings()
    assert what == f"Secrets Manager, asked by {ARN} in eu-west-1"
    assert wrong.startswith(f"denied: allow {action} on it")
    assert (statement["Action"], statement["Resource"]) == (action, resource)


@pytest.mark.parametrize("prefix", ["acme/meltano/x", "acme/meltano", "meltano"])
def test_the_proposed_right_is_to_one_environment_whatever_the_prefix(answers, prefix):
    name = SecretName(prefix, "dev", "tap-a")
    denied = {"SecretId": str(name), "ErrorCode": "AccessDeniedException"}
    answers.body = lambda asked: IDENTITY.format(ARN) if "Action" in asked else {"Errors": [denied]}
    [*_, last] = examine([need_of(name)])
    resource = f"arn:aws-cn:secretsmanager:eu-west-1:111122223333:secret:{prefix}/dev/meltano/*"
    assert last.statement["Resource"] == resource


def test_the_right_to_ask_at_all_is_on_everything(answers):
    answers.refuse(400, "AccessDeniedException")
    [(what, wrong, statement)] = findings()
    assert what == "Secrets Manager, asked by a caller whom STS does not name"
    assert wrong.startswith("AWS rejects BatchGetSecretValue")
    assert statement == {
        "Effect": "Allow",
        "Action": "secretsmanager:BatchGetSecretValue",
        "Resource": "*",
    }


def test_a_service_account_that_may_not_have_the_role_is_told(answers, aws_environ, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environ.delenv(name)
    (tmp_path / "token").write_text("token")
    aws_environ.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    aws_environ.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/meltano")
    answers.status, answers.body = 403, lambda _: REFUSED
    [(_, wrong, statement)] = findings()
    assert wrong == (
        "AWS rejects AssumeRoleWithWebIdentity (AccessDenied): name the ServiceAccount in the"
        " trust policy of the role"
    )
    assert statement is None


def test_an_address_that_is_not_reached_is_told(aws_environ):
    for service in ("SECRETS_MANAGER", "STS"):
        aws_environ.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{free_port()}")
    [(_, wrong, statement)] = findings()
    assert wrong.startswith("AWS cannot be reached (EndpointConnectionError)")
    assert statement is None


def test_the_documented_policy_of_task_pods_is_what_doctor_asks_for(answers):
    page = (CHECKOUT / "docs/secrets.md").read_text()
    policy = re.findall(r"\*\*Task pods\*\*.*?```json\n(.*?)```", page, re.DOTALL)
    documented = json.loads(policy[0])["Statement"]
    name = "acme/prod/meltano/tap-crm"
    need = need_of(SecretName("acme", "prod", "tap-crm"))

    def statement(of_secrets):
        def answer(asked):
            return IDENTITY.format(ARN_OF_DOCS) if "Action" in asked else of_secrets

        answers.status, answers.body = 200, answer
        [*_, last] = examine([need])
        return last.statement

    denied = {"SecretId": name, "ErrorCode": "AccessDeniedException"}
    asked = [
        statement({"Errors": [denied]}),
        statement({"Errors": [{**denied, "ErrorCode": "DecryptionFailure"}]}),
    ]
    answers.refuse(400, "AccessDeniedException")
    asked.insert(0, [*examine([need])][-1].statement)
    key = re.compile(r"key/[\w-]+")
    assert json.loads(key.sub("key/KEY", json.dumps(documented))) == asked
