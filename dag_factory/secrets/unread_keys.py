"""Keys of a plugin's secret that are no settings of it, and that nothing else reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dag_factory.errors import guess
from dag_factory.planning.secret_names import legal_name
from dag_factory.project.model import Project, read_project
from dag_factory.project.plugins import Plugin, Setting, env_var, flat_settings

_VARIABLE = re.compile(r"\$[{(]?(\w+)")
# https://docs.meltano.com/reference/plugin-definition-syntax: `_select` and the like.
_EXTRA = "_"


def as_variable(key: str) -> str:
    """Return how a variable of Meltano spells a setting, behind the name of the plugin."""
    return env_var("", key)


def spellings(setting: Setting) -> set[str]:
    """Return how variables of Meltano may spell a setting."""
    return {*map(as_variable, (setting.name, *setting.aliases))}


def plugins_by_secret(project: Project | None) -> dict[str, Plugin]:
    """Return the plugins of a project by what ends the names of their secrets."""
    plugins = project.plugins if project else ()
    return {legal_name(each.name): each for each in reversed(plugins)}


def keys_in_use(project: Project, plugin: Plugin) -> frozenset[str] | None:
    """Return the keys that something reads in a plugin's secret, as variables spell them.

    They are the settings that the plugin declares or that a `config:` has, and the rest of every
    variable of the plugin that the project names. `None`: the plugin has no definition here.
    """
    if plugin.commands is None:
        return None
    entries = [*plugin.definition]
    entries += [each for known in project.environments for each in known.configured(plugin)]
    configured = [each for entry in entries for each in flat_settings(entry.get("config"))]
    text = json.dumps([project.data, *plugin.definition], default=str, skipkeys=True)
    begin = f"{as_variable(legal_name(plugin.name))}_"
    return frozenset(
        {
            *(each for setting in plugin.settings for each in spellings(setting)),
            *(as_variable(name) for name, _, _ in configured),
            *(each[len(begin) :] for each in _VARIABLE.findall(text) if each.startswith(begin)),
        }
    )


def unread_keys(
    plugin: Plugin, in_use: frozenset[str] | None, keys: Iterable[str]
) -> dict[str, str]:
    """Return the keys that nothing reads of a plugin's secret, each with what to do about it."""
    settings = [each.name for each in plugin.settings]
    return {
        key: guess(key, settings, "correct it, or remove it")
        for key in keys
        if not (in_use is None or key.startswith(_EXTRA) or as_variable(key) in in_use)
    }


def key_warnings(root: Path, keys: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield lines that name the keys of a task's secrets that nothing reads.

    Args:
        root: The folder of the project.
        keys: Those of plugins' secrets, by the names of the secrets.
    """
    project, _ = read_project(root) if keys else (None, ())
    plugins = plugins_by_secret(project)
    for name, held in keys.items():
        plugin = plugins.get(name.rpartition("/")[2])
        if project and plugin:
            for key, hint in unread_keys(plugin, keys_in_use(project, plugin), held).items():
                yield f"{key!r} in the secret {name!r} is no setting of {plugin.name!r}: {hint}"
