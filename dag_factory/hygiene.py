"""Secrets that stand in the project in clear, or that the project would override.

What is sensitive is what its plugin, or its plugin's lock file, declares so:
https://docs.meltano.com/reference/settings (kinds `password` and `oauth`, `sensitive: true`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dag_factory.errors import Code, Location, Problem
from dag_factory.plugins import Plugin, env_var
from dag_factory.project import Project
from dag_factory.yaml_files import YamlList, YamlMap

# meltano/core/utils: ENV_VAR_PATTERN.
_REFERENCE = re.compile(r"\$(?:[A-Z][A-Z0-9_]*|\{\w+\})")
# Bounded, so that the search is linear.
_CREDENTIALS = re.compile(r"(?<![\w+.-])[a-zA-Z][\w+.-]{0,30}://[^\s/:@]*:([^\s/@]+)@")
_TOKEN_AS_USER = re.compile(r"(?<![\w.-])(?:[a-z]{1,9}\+)?https?://([^\s/:@]+)@")
_PARAMETER = re.compile(r"(?i)[?&](?:password|pwd|secret|token|api_?key)=([^&\s]+)")
# Settings of Meltano's own that meltano/core/state_store declares sensitive, by their last parts.
_MELTANOS_OWN = re.compile(
    r"state_backend\..*(?:access_key|access_key_id|account_key|connection_string|password|token)"
)
_STORE = "take it out of the file, and give Meltano the variable {} where it runs"


def wrong_secrets(project: Project) -> Iterator[Problem]:
    """Yield the secrets in clear, and the `env:` that would override a secret.

    Args:
        project: The project; of its environments, all are looked at.
    """
    variables = {
        variable: (plugin, setting.name)
        for plugin in project.plugins
        for setting in plugin.settings
        if setting.sensitive
        for variable in setting.env_vars
    }
    for plugin in project.plugins:
        yield from _in_config(plugin, plugin.entry)
        yield from _in_env(plugin.entry, variables, overrides=False)
    for environment in project.environments:
        yield from _in_env(environment.entry, variables, overrides=True)
        for plugin in project.plugins:
            for entry in environment.configured(plugin):
                yield from _in_config(plugin, entry)
                yield from _in_env(entry, variables, overrides=False)
    yield from _in_env(project.data, variables, overrides=True)
    for schedule in project.schedules:
        yield from _in_env(schedule.entry, variables, overrides=False)
    yield from _in_meltanos_own(project.data)
    yield from _in_addresses(project.data)


def _is_literal(value: Any) -> bool:
    return value not in (None, "") and not (isinstance(value, str) and _REFERENCE.search(value))


def _in_config(plugin: Plugin, entry: YamlMap) -> Iterator[Problem]:
    sensitive = {
        name: each.env_vars[0]
        for each in plugin.settings
        if each.sensitive
        for name in (each.name, *each.aliases)
    }
    for name, value, place in _flat(entry.get("config")):
        if name in sensitive and _is_literal(value):
            message = f"the setting {name!r} of {plugin.name!r} is a secret in clear"
            hint = _STORE.format(sensitive[name])
            yield Problem(Code.PLAINTEXT_SECRET, place, message, hint)
    declared = entry.get("settings")
    for setting in declared if isinstance(declared, YamlList) else ():
        known = setting.get("name") if isinstance(setting, YamlMap) else None
        if isinstance(known, str) and known in sensitive and _is_literal(setting.get("value")):
            message = f"the setting {known!r} of {plugin.name!r} has a secret default in clear"
            hint = _STORE.format(sensitive[known])
            yield Problem(Code.PLAINTEXT_SECRET, setting.at("value"), message, hint)


def _in_meltanos_own(data: YamlMap) -> Iterator[Problem]:
    own = {"state_backend": data.get("state_backend")}
    own |= {key: each for key, each in data.items() if str(key).startswith("state_backend.")}
    for key, value in own.items():
        for name, each, place in [(key, value, data.at(key)), *_flat(value, f"{key}.")]:
            if _MELTANOS_OWN.fullmatch(name) and _is_literal(each):
                message = f"Meltano's setting {name!r} is a secret in clear"
                hint = _STORE.format(env_var("meltano", name))
                yield Problem(Code.PLAINTEXT_SECRET, place, message, hint)


def _flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Location]]:
    """Yield settings by their dotted names: Meltano takes `a: {b: 1}` for `a.b: 1`."""
    for key, value in config.items() if isinstance(config, YamlMap) else ():
        name = f"{prefix}{key}"
        yield name, value, config.at(key)
        yield from _flat(value, f"{name}.")


def _in_env(
    holder: YamlMap, variables: Mapping[str, tuple[Plugin, str]], *, overrides: bool
) -> Iterator[Problem]:
    env = holder.get("env")
    if not isinstance(env, YamlMap):
        return
    for name, value in env.items():
        if name not in variables:
            continue
        plugin, setting = variables[name]
        what = f"the secret setting {setting!r} of {plugin.name!r}"
        if _is_literal(value):
            message = f"env {name} holds {what} in clear"
            yield Problem(Code.PLAINTEXT_SECRET, env.at(name), message, _STORE.format(name))
        elif overrides and value not in (f"${name}", f"${{{name}}}"):
            message = f"env {name} overrides {what}, even where the process has the right value"
            hint = f"remove it, and give Meltano {name} itself where it runs"
            yield Problem(Code.OVERRIDDEN_SECRET, env.at(name), message, hint)


def _in_addresses(value: Any, place: Location | None = None) -> Iterator[Problem]:
    if isinstance(value, YamlMap):
        for key, each in value.items():
            yield from _in_addresses(each, value.at(key))
    elif isinstance(value, YamlList):
        for each, at in zip(value, value.places, strict=True):
            yield from _in_addresses(each, at)
    elif isinstance(value, str) and "://" in value and place is not None:
        patterns = (_CREDENTIALS, _TOKEN_AS_USER, _PARAMETER)
        if any(_is_literal(each) for pattern in patterns for each in pattern.findall(value)):
            message = "an address holds a credential in clear"
            hint = "write a variable such as ${TOKEN} in its place"
            yield Problem(Code.PLAINTEXT_SECRET, place, message, hint)
