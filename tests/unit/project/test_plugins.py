import json

import pytest

from dag_factory.project.model import read_project
from dag_factory.project.plugins import env_var

ENVIRONMENTS = "environments: [{name: dev}]\n"


def plugin(write_project, text, name, **locks):
    root = write_project("", plugins=ENVIRONMENTS + text)
    for lock, content in locks.items():
        file = root / "plugins/extractors" / f"{lock.replace('_', '-')}.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    project, _ = read_project(root)
    (found,) = [each for each in project.plugins if each.name == name]
    return found


LOCK = {
    "namespace": "tap_shop",
    "settings": [
        {"name": "token", "sensitive": True, "aliases": ["key"]},
        {"name": "auth.password", "kind": "password"},
        {"name": "login", "kind": "oauth"},
        {"name": "url"},
    ],
    "commands": {"about": {"args": "--about"}},
}


def test_a_lock_file_tells_settings_and_commands(write_project):
    text = "plugins: {extractors: [{name: tap-shop, variant: v}]}\n"
    found = plugin(write_project, text, "tap-shop", tap_shop__v=LOCK)
    assert [each.name for each in found.settings if each.sensitive] == [
        "token",
        "auth.password",
        "login",
    ]
    assert found.settings[0].env_vars == ("TAP_SHOP_TOKEN", "TAP_SHOP_KEY")
    assert found.commands == {"about"}


def test_a_plugin_inherits_and_overrides(write_project):
    text = """
plugins:
  extractors:
  - name: tap-shop
    namespace: shop
    settings: [{name: token, sensitive: true}, {name: url}]
    commands: {about: --about}
  - name: tap-shop--eu
    inherit_from: tap-shop
    settings: [{name: url, kind: password}]
    commands: {more: --more}
"""
    found = plugin(write_project, text, "tap-shop--eu")
    assert {each.name: each.sensitive for each in found.settings} == {"token": True, "url": True}
    assert found.settings[0].env_vars == ("TAP_SHOP__EU_TOKEN",)
    assert found.commands == {"about", "more"}


@pytest.mark.parametrize("lock", ["{", "[]", ""])
def test_an_unusable_lock_file_defines_nothing(write_project, lock):
    text = "plugins: {extractors: [{name: tap-shop}]}\n"
    assert plugin(write_project, text, "tap-shop", tap_shop__v=lock).commands is None


def test_a_plugin_that_inherits_from_what_is_not_there_has_no_definition(write_project):
    text = "plugins: {extractors: [{name: tap-shop, inherit_from: nothing}]}\n"
    assert plugin(write_project, text, "tap-shop").commands is None


def test_variables_are_named_as_meltano_names_them():
    from meltano.core.utils import to_env_var  # noqa: PLC0415 - slow

    for parts in [("tap-shop", "auth.password"), ("t", "aB-c_d"), ("tap--é", "x y")]:
        assert env_var(*parts) == to_env_var(*parts)
