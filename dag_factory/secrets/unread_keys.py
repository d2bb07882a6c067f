"""The keys of a plugin's secret that are not settings of the plugin, and that nothing else reads.

Most of them are misspelt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dag_factory.errors import guess
from dag_factory.planning.secret_names import SecretName, legal_name
from dag_factory.project.model import Project, read_project
from dag_factory.project.plugins import Plugin, Setting, env_var, flat_settings

_VARIABLE = re.compile(r"\$[{(]?(\w+)")
# https://docs.meltano.com/reference/plugin-definition-syntax: `_select` and the like.
_EXTRA_PREFIX = "_"


def as_variable(key: str) -> str:
    """Return a setting's name as Meltano writes it in a variable, after the plugin's name."""
    return env_var("", key)


def spellings(setting: Setting) -> set[str]:
    """Return the ways in which Meltano's variables may spell a setting."""
    return {*map(as_variable, (setting.name, *setting.aliases))}


def plugins_by_secret(project: Project | None) -> dict[str, Plugin]:
    """Return the plugins of a project by the short names of their secrets."""
    plugins = project.plugins if project else ()
    return {legal_name(each.name): each for each in reversed(plugins)}


def keys_in_use(project: Project, plugin: Plugin) -> frozenset[str] | None:
    """Return the keys of a plugin's secret that something reads, as variables spell them.

    They are the settings that the plugin declares or that a `config:` has, and the variables of
    the plugin that the project mentions. `None` if the project has no definition of the plugin.
    """
    if plugin.commands is None:
        return None
    entries = [*plugin.definition]
    entries += [each for known in project.environments for each in known.configured(plugin)]
    configured = [each for entry in entries for each in flat_settings(entry.get("config"))]
    text = json.dumps([project.data, *plugin.definition], default=str, skipkeys=True)
    prefix = f"{as_variable(legal_name(plugin.name))}_"
    return frozenset(
        {
            *(each for setting in plugin.settings for each in spellings(setting)),
            *(as_variable(name) for name, _, _ in configured),
            *(each[len(prefix) :] for each in _VARIABLE.findall(text) if each.startswith(prefix)),
        }
    )


def unread_keys(
    plugin: Plugin, in_use: frozenset[str] | None, keys: Iterable[str]
) -> dict[str, str]:
    """Return the keys of a plugin's secret that nothing reads, each with what to do about it."""
    settings = [each.name for each in plugin.settings]
    return {
        key: guess(key, settings, "correct it, or remove it")
        for key in keys
        if not (in_use is None or key.startswith(_EXTRA_PREFIX) or as_variable(key) in in_use)
    }


def key_warnings(root: Path, keys: Mapping[SecretName, Iterable[str]]) -> Iterator[str]:
    """Yield lines that name the keys of a task's secrets that nothing reads.

    Args:
        root: The folder of the project.
        keys: The keys of each plugin's secret.
    """
    project, _ = read_project(root) if keys else (None, ())
    plugins = plugins_by_secret(project)
    for name, held in keys.items():
        plugin = plugins.get(name.short_name)
        if project and plugin:
            for key, hint in unread_keys(plugin, keys_in_use(project, plugin), held).items():
                yield f"{key!r} in the secret '{name}' is not a setting of {plugin.name!r}: {hint}"
