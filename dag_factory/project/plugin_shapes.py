"""The shapes of a plugin for which Meltano rejects a whole project.

The checks follow plugin/base.py and plugin/project_plugin.py in meltano/core.
"""

from __future__ import annotations

from typing import Any

from dag_factory.errors import Code, Problems, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap
from dag_factory.project.entry_shapes import check_keys, check_name_in_state_id, named

_COMMAND_KEYS = ("args", "description", "executable", "container_spec", "annotations")
_SETTING_KINDS = (
    *("string", "integer", "boolean", "decimal", "date_iso8601", "email", "password"),
    *("oauth", "options", "file", "array", "object", "hidden"),
)


def check_plugin(entry: YamlMap, problems: Problems) -> None:
    """Check a plugin of the project."""
    what = named("plugin", entry)
    check_keys(entry, what, problems, required=("name",))
    check_name_in_state_id(entry, what, problems)
    if "plugin_type" in entry:
        message = f"{what} has the key 'plugin_type'"
        problems.add(Code.WRONG_SHAPE, entry.at("plugin_type"), message, "remove it")
    _check_capabilities(entry, what, problems)
    _check_requires(entry, what, problems)
    _check_settings(entry, what, problems)
    _check_commands(entry, what, problems)


def check_mapper(entry: YamlMap, problems: Problems) -> None:
    """Check a mapper of the project, and its mappings."""
    check_plugin(entry, problems)
    if "mappings" in entry:
        _check_mappings(entry, named("plugin", entry), problems)


def _check_capabilities(entry: YamlMap, what: str, problems: Problems) -> None:
    capabilities = entry.get("capabilities")
    is_custom = entry.get("namespace") and not entry.get("inherit_from")
    if is_custom and capabilities and not isinstance(capabilities, str | list | dict):
        message = f"capabilities of {what} must be a list"
        hint = "write [catalog, discover]"
        problems.add(Code.WRONG_SHAPE, entry.at("capabilities"), message, hint)


def _check_requires(entry: YamlMap, what: str, problems: Problems) -> None:
    requires = entry.get("requires")
    if requires is None:
        return
    if not isinstance(requires, YamlMap) or not all(map(_is_plugin_list, requires.values())):
        message = f"requires of {what} must be a mapping of plugins by their type"
        hint = "write {TYPE: [{name: PLUGIN}]}"
        problems.add(Code.WRONG_SHAPE, entry.at("requires"), message, hint)


def _is_plugin_list(plugins: Any) -> bool:
    """Return whether Meltano reads a value as a list of plugins, as it does empty values."""
    if isinstance(plugins, list):
        return all(isinstance(each, dict | None) for each in plugins)
    return plugins in ("", {})


def _check_mappings(entry: YamlMap, what: str, problems: Problems) -> None:
    mappings = entry["mappings"]
    if not isinstance(mappings, YamlList):
        if mappings not in ("", {}):
            message = f"mappings of {what} must be a list"
            problems.add(Code.WRONG_SHAPE, entry.at("mappings"), message, "write [] for none")
        return
    for mapping, location in zip(mappings, mappings.places, strict=True):
        if not isinstance(mapping, YamlMap):
            message = f"each item in mappings of {what} must be a YAML mapping"
            problems.add(Code.WRONG_SHAPE, location, message, "write name: and config:")


def _check_settings(entry: YamlMap, what: str, problems: Problems) -> None:
    settings = entry.get("settings")
    if not settings:
        return
    if not isinstance(settings, YamlList):
        message = f"settings of {what} must be a list"
        problems.add(Code.WRONG_SHAPE, entry.at("settings"), message, "write `- name: ...`")
        return
    for setting, location in zip(settings, settings.places, strict=True):
        if isinstance(setting, YamlMap):
            _check_setting(setting, what, problems)
        elif setting is not None:
            message = f"each setting of {what} must be a mapping"
            problems.add(Code.WRONG_SHAPE, location, message, "write `- name: ...`")


def _check_setting(setting: YamlMap, what: str, problems: Problems) -> None:
    check_keys(setting, f"a setting of {what}", problems, required=("name",))
    kind = setting.get("kind")
    if kind and kind not in _SETTING_KINDS:
        message = f"{what} has a setting of the unknown kind {shown(kind)}"
        hint = f"write one of {', '.join(_SETTING_KINDS)}"
        problems.add(Code.WRONG_SHAPE, setting.at("kind"), message, hint)


def _check_commands(entry: YamlMap, what: str, problems: Problems) -> None:
    commands = entry.get("commands")
    if commands is None:
        return
    if not isinstance(commands, YamlMap):
        message = f"commands of {what} must be a mapping"
        problems.add(Code.WRONG_SHAPE, entry.at("commands"), message, "write NAME: args")
        return
    for name, command in commands.items():
        if isinstance(command, YamlMap):
            check_keys(command, f"command {name!r} of {what}", problems, allowed=_COMMAND_KEYS)
        elif command is not None and not isinstance(command, str):
            message = f"command {name!r} of {what} must be a string"
            hint = "write one string, such as `run --full-refresh`"
            problems.add(Code.WRONG_SHAPE, commands.at(name), message, hint)
