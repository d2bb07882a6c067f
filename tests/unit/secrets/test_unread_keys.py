import pytest

from dag_factory.planning.secret_names import SecretName, parse_secret_name
from dag_factory.project.model import read_project
from dag_factory.secrets.unread_keys import key_warnings, keys_in_use, unread_keys

PROJECT = """
default_environment: dev
environments:
- name: dev
  config:
    plugins:
      extractors: [{name: tap-b, config: {of_environment: x}}]
plugins:
  extractors:
  - name: tap-a
    namespace: a
    settings:
    - {name: token, kind: password, aliases: [key]}
    - {name: auth.user, sensitive: true}
    - {name: address}
    config: {address: 'https://$TAP_A_HOST/${TAP_A_PATH}', of_config: {deep: 1}}
  - {name: tap-b, inherit_from: tap-a}
  - {name: tap-unknown}
"""


@pytest.fixture
def unread(tmp_path):
    """Return which of some keys nothing reads in the secret of a plugin."""
    (tmp_path / "meltano.yml").write_text(PROJECT)
    project, _ = read_project(tmp_path)

    def find(name, *keys):
        plugin = next(each for each in project.plugins if each.name == name)
        return unread_keys(plugin, keys_in_use(project, plugin), keys)

    return find


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tap-a", "token"),
        ("tap-a", "key"),
        ("tap-a", "auth.user"),
        ("tap-a", "auth_user"),
        ("tap-b", "token"),
        ("tap-a", "of_config.deep"),
        ("tap-b", "of_config"),
        ("tap-b", "of_environment"),
        ("tap-a", "host"),
        ("tap-a", "PATH"),
        ("tap-a", "_select"),
    ],
)
def test_what_meltano_or_its_project_reads_is_left_alone(unread, name, key):
    assert unread(name, key) == {}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("tokn", "did you mean 'token'?"),
        ("auth.usr", "did you mean 'auth.user'?"),
        ("zzz", "correct it, or remove it"),
    ],
)
def test_what_nothing_reads_is_named_with_the_nearest_setting(unread, key, hint):
    assert unread("tap-b", "token", key) == {key: hint}


def test_a_variable_of_another_plugin_is_none_of_this_one(unread):
    assert [*unread("tap-b", "host")] == ["host"]


def test_nothing_is_said_of_a_plugin_that_has_no_definition_here(unread):
    assert unread("tap-unknown", "tokn") == {}


@pytest.mark.parametrize("prefix", ["acme", "acme/meltano/x", "acme/meltano"])
def test_a_task_is_told_of_the_secrets_of_its_plugins_alone(tmp_path, prefix):
    (tmp_path / "meltano.yml").write_text(PROJECT)
    name = parse_secret_name(f"{prefix}/dev/meltano/tap-a")
    keys = {name: ("token", "tokn"), SecretName("acme", "dev", "gone"): ("x",)}
    assert [*key_warnings(tmp_path, keys)] == [
        f"'tokn' in the secret '{name}' is not a setting of 'tap-a': did you mean 'token'?"
    ]


def test_of_a_project_that_cannot_be_read_nothing_is_said(tmp_path):
    assert [*key_warnings(tmp_path, {SecretName("acme", "dev", "tap-a"): ("tokn",)})] == []
