import random
import string

import pytest

from dag_factory.secret_patterns import is_literal, secret_in

# Put together here, so that no scanner takes this file for a leak.
TOKENS = {
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE",
    "a token of GitHub": "ghp_" + "a1B2" * 9,
    "a token of GitLab": "glpat-" + "a1B2" * 5,
    "a key of AWS": "AKIA" + "A1B2" * 4,
    "a token of Slack": "https://hooks.slack." + "com/services/T0/B0/x1",
    "a key of Google": "AIza" + "a1B2c" * 7,
    "a key of Azure": "https://x.blob.example.com/c?sv=1&" + "sig=" + "a1B2" * 6,
    "a key of Stripe": "sk_" + "live_" + "a1B2" * 5,
    "a token of Shopify": "shpat_" + "a1b2" * 8,
    "a token of HubSpot": "pat-" + "eu1-" + "a1b2" * 9,
    "a token of Databricks": "dapi" + "a1b2" * 8,
    "a key of SendGrid": "SG." + "a1B2" * 5 + "." + "a1B2" * 8,
    "a token of PyPI": "pypi-" + "a1B2" * 15,
    "a key of OpenAI or Anthropic": "sk-" + "ant-" + "a1B2" * 8,
    "a JSON web token": "eyJ" + "a1B2" * 5 + ".eyJ" + "a1B2" * 5 + ".a1B2",
}


@pytest.mark.parametrize(("what", "token"), TOKENS.items(), ids=TOKENS)
def test_the_form_of_a_token_is_known_whatever_it_is_called_and_wherever_it_stands(what, token):
    for value in (token, f"call --with {token}"):
        assert secret_in("note", value, by_name=False) == f"holds {what}"


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://u:hunter2@h/d",
        "redis://:hunter2@h",
        "git+https://hunter2@example.com/a.git",
        "tap --index-url https://ci:hunter2@example.com/simple",
    ],
)
def test_an_address_with_a_credential_is_known(value):
    assert secret_in("note", value, by_name=False) == "holds an address with a credential"


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com/a?token=hunter2",
        "https://example.com/a?x=1&private_token=hunter2",
        "init --username me --password hunter2",
        "init --api-key='hunter2'",
        "Driver=x;UID=me;PWD=hunter2;",
        "host=h user=me password=hunter2",
        "AccountName=a;AccountKey=hunter2==",
    ],
)
def test_an_argument_or_parameter_that_is_called_a_secret_is_known(value):
    found = "holds a secret as an argument or parameter"
    assert secret_in("note", value, by_name=False) == found


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com/a:b@c",
        "git+https://git@example.com/a.git",
        "git+ssh://git@example.com/a.git@v1",
        "mailto:me@example.com",
        "postgresql://u:${PASSWORD}@h/d",
        "postgresql://u:<password>@h/d",
        "https://example.com/a?page_token=abc&sort=id",
        "https://example.com/a?token=$TOKEN",
        "login --token {{ token }}",
        "login --password ${PASSWORD} --verbose",
        "login --password-file /run/secrets/password",
        "login --password",
        "acme-token==1.2.0",
        "tap-x==1.2 # set token= yourself",
    ],
)
def test_an_address_or_an_argument_without_a_secret_is_left_alone(value):
    assert secret_in("note", value) is None


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "dbPassword", "PGPASSWORD", "password_dev", "file-password"),
        *("SUPERSET_PASS", "pwd", "client_secret", "SecretKey", "secret_access_key"),
        *("aws_access_key_id", "apikey", "X-API-Key", "api_keys", "auth.token", "token"),
        *("additional_auth_tokens", "Authorization", "hub_url_auth", "credentials_json"),
        *("state_backend.azure.connection_string", "encryption_key", "private_key"),
    ],
)
def test_a_name_that_says_secret_is_known(name):
    assert secret_in(name, "hunter2") == "is a secret by its name"


@pytest.mark.parametrize(
    "name",
    [
        *("auth_method", "token_url", "next_page_token", "next_page_token_path", "tokens"),
        *("replication_key", "primary_key", "s3_key_prefix", "key_properties", "credentials_path"),
        *("passenger", "compass", "no_of_passengers", "secretName", "secrets", "tokenizer", "key"),
        *("password_policy", "keyfile", "client_id", "user"),
    ],
)
def test_a_name_that_says_no_secret_is_left_alone(name):
    assert secret_in(name, "hunter2") is None


@pytest.mark.parametrize("value", ["hunter2", 12345, "p4$sword", "changeme123", "admin", "a{b}c"])
def test_what_could_be_a_password_is_one(value):
    assert is_literal(value)
    assert secret_in("password", value) == "is a secret by its name"


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", True, False, "true", "none"),
        *("$PASSWORD", "${password}", "Bearer $TOKEN", "$(PASSWORD)", "{{ conn.x.password }}"),
        *("<password>", "<YOUR KEY>", "{password}", "xxxx", "****", "...", "-"),
        *(
            "changeme",
            "change_me",
            "CHANGE-ME!",
            "replace this",
            "your-password",
            "todo",
            "example",
        ),
    ],
)
def test_references_and_placeholders_are_no_secrets(value):
    assert not is_literal(value)
    assert secret_in("password", value) is None


@pytest.mark.parametrize(
    "value",
    ["/run/secrets/password", "./key.pem", "~/.ssh/id", "service-account.json", "https://a.b/c"],
)
def test_a_file_or_an_address_is_no_secret_though_its_name_says_so(value):
    assert secret_in("credentials", value) is None


@pytest.mark.parametrize(
    "alphabet",
    [
        string.ascii_letters + string.digits,
        string.ascii_letters + string.digits + "+/",
        string.hexdigits[:16],
    ],
)
@pytest.mark.parametrize("length", [20, 32, 64])
def test_nine_of_ten_random_texts_are_found(alphabet, length):
    generator = random.Random(1)  # noqa: S311 - the same each time
    texts = ["".join(generator.choices(alphabet, k=length)) for _ in range(1000)]
    found = [secret_in("value", text) for text in texts]
    assert found.count("is as random as a secret") > 900


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project_id", "0199df13-8670-7e72-9cfa-738eb173ac34"),
        ("spreadsheet_id", "1m4i2MuV7u8hacQSuYm25Ox-ucVdLiTPDEGG5rXMvXmc"),
        ("commit", "9f43b189d10840199f6841979d6455ae"),
        ("anything", "0199df13-8670-7e72-9cfa-738eb173ac34"),
        ("host", "ec2-34-192-64-24.compute-1.amazonaws.com"),
        ("primary_keys", "PurchaseOrderDetailID"),
        ("tables", "itx-zoom-meetings-invite-responses-v2"),
        ("name", "fixed_schedule_2022-08-01"),
        ("env", "TARGET_S3_CSV_AWS_ACCESS_KEY_ID"),
        ("file", "output/post-20201209T235933.csv"),
        ("image", "registry.example.com/meltano@sha256:" + "a1b2" * 16),
        ("text", "aaaaaaaa111111111111"),
    ],
)
def test_what_only_looks_random_is_left_alone(name, value):
    assert secret_in(name, value) is None
