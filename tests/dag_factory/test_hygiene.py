import pytest

from dag_factory.errors import Code
from dag_factory.planner import read_plans
from dag_factory.settings import Settings

PLUGIN = """
default_environment: dev
plugins:
  extractors:
  - name: tap-shop
    namespace: tap_shop
    settings: [{name: auth.password, kind: password}, {name: user}]
"""


def found(write_project, text, plugins=PLUGIN):
    if "environments:" not in text:
        plugins += "environments: [{name: dev}]\n"
    _, problems = read_plans(Settings(write_project(text, plugins=plugins)))
    return [(each.code, each.location.line) for each in problems]


@pytest.mark.parametrize(
    "config",
    [
        "{auth: {password: hunter2}}",
        "{auth.password: hunter2}",
        "{auth.password: 12345}",
        "{url: 'https://me:hunter2@example.com/x'}",
        "{nested: {list: ['postgresql://u:p@h/d']}}",
    ],
)
def test_a_secret_in_clear_is_found_in_config(write_project, config):
    plugins = PLUGIN + f"    config: {config}\n"
    assert found(write_project, "", plugins) == [(Code.PLAINTEXT_SECRET, 8)]


@pytest.mark.parametrize(
    "config",
    [
        "{auth: {password: $SHOP_PASSWORD}}",
        "{auth.password: '${SHOP_PASSWORD}'}",
        "{auth.password: ''}",
        "{auth.password: null}",
        "{user: me}",
        "{url: 'https://me:${TOKEN}@example.com'}",
        "{url: 'https://example.com/a:b@c'}",
        "{mail: 'mailto:me@example.com'}",
    ],
)
def test_references_and_what_is_no_secret_are_left_alone(write_project, config):
    assert found(write_project, "", PLUGIN + f"    config: {config}\n") == []


IN_ENVIRONMENT = "{plugins: {extractors: [{name: tap-shop, config: {auth.password: hunter2}}]}}"


@pytest.mark.parametrize(
    "text",
    [
        "env: {TAP_SHOP_AUTH_PASSWORD: hunter2}",
        "environments: [{name: dev, env: {TAP_SHOP_AUTH_PASSWORD: hunter2}}]",
        "database_uri: postgresql://me:hunter2@host/db",
        f"environments: [{{name: dev, config: {IN_ENVIRONMENT}}}]",
        "address: git+https://ghp_token@github.com/a/b",
    ],
)
def test_a_secret_in_clear_is_found_elsewhere(write_project, text):
    assert found(write_project, text + "\n") == [(Code.PLAINTEXT_SECRET, 1)]


def test_a_secret_in_the_env_of_a_schedule_is_found(write_project):
    text = """
    jobs: [{name: j, tasks: []}]
    schedules:
    - {name: s, job: j, interval: '@daily', env: {TAP_SHOP_AUTH_PASSWORD: hunter2}}
    """
    assert (Code.PLAINTEXT_SECRET, 4) in found(write_project, text)


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("$OTHER", [Code.OVERRIDDEN_SECRET]),
        ("''", [Code.OVERRIDDEN_SECRET]),
        ("$TAP_SHOP_AUTH_PASSWORD", []),
    ],
)
def test_env_that_overrides_a_secret_is_found(write_project, value, codes):
    text = f"env: {{TAP_SHOP_AUTH_PASSWORD: {value}}}\n"
    assert [code for code, _ in found(write_project, text)] == codes
