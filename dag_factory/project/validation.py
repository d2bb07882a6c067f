"""The shapes for which Meltano rejects a whole project.

Meltano passes the entries of meltano.yml to constructors as keyword arguments. A missing or unknown
key of one job therefore fails every command. The checks here follow these constructors in
meltano/core: meltano_file.py, schedule.py, task_sets.py, environment.py, plugin/project_plugin.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from dag_factory.errors import Code, Problems, guess, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap

# In the order in which Meltano looks for a name: PluginType of meltano/core/plugin/base.py.
PLUGIN_TYPES = (
    *("extractors", "loaders", "transforms", "orchestrators"),
    *("transformers", "files", "utilities", "mappers", "mappings"),
)
_JOB_KEYS = ("name", "tasks", "annotations")
_ENVIRONMENT_KEYS = ("name", "config", "env", "state_id_suffix", "annotations")
_COMMAND_KEYS = ("args", "description", "executable", "container_spec", "annotations")
_KEYS_OF_OTHER_TOOLS = {"cron": "interval", "schedule": "interval"}
_SETTING_KINDS = (
    *("string", "integer", "boolean", "decimal", "date_iso8601", "email", "password"),
    *("oauth", "options", "file", "array", "object", "hidden"),
)
_TOP_LEVEL_KEYS = (
    *("version", "requires_meltano", "annotations", "env"),
    *("plugins", "schedules", "environments", "jobs"),
)
STATE_ID_DELIMITER = ":"
"""The character with which Meltano joins the parts of a state ID. No part may contain it."""

_Check = Callable[[YamlMap, Problems], None]


def check_shapes(data: YamlMap, problems: Problems) -> None:
    """Report the values for which Meltano would reject the project (the common cases).

    Args:
        data: The merged project.
        problems: The collector.
    """
    _check_keys_are_strings(data, "meltano.yml", problems)
    for key in data:
        if key not in _TOP_LEVEL_KEYS:
            _check_setting_names(data[key], key, problems)
    _check_plugins(data, _check_plugin, problems)
    for key, check in _CHECKS_BY_LIST.items():
        _check_entries(data, key, check, problems)
    env = data.get("env")
    if env and not isinstance(env, YamlMap):
        place = data.at("env")
        problems.add(Code.WRONG_SHAPE, place, "env must be a mapping", "write NAME: value")


def is_accepted(entry: Any, check: _Check) -> bool:
    """Return whether Meltano accepts one entry of a list."""
    if not isinstance(entry, YamlMap):
        return False
    problems = Problems()
    check(entry, problems)
    return not problems


def _check_entries(holder: YamlMap, key: str, check: _Check, problems: Problems) -> None:
    """Check a list of mappings. A value that Python regards as empty is accepted."""
    values = holder.get(key)
    if not values:
        return
    if not isinstance(values, YamlList):
        message, hint = f"{key} must be a list", "begin each entry with `- name:`"
        problems.add(Code.WRONG_SHAPE, holder.at(key), message, hint)
        return
    for value, location in zip(values, values.places, strict=True):
        if isinstance(value, YamlMap):
            check(value, problems)
        else:
            message = f"each entry of {key} must be a mapping"
            hint = f"write `- name: {value}`" if isinstance(value, str) else "write `- name: ...`"
            problems.add(Code.WRONG_SHAPE, location, message, hint)


def _check_plugins(holder: YamlMap, check: _Check, problems: Problems) -> None:
    """Check the plugins of a project, or of an environment's config, by their types."""
    types = holder.get("plugins")
    if not types:
        return
    if not isinstance(types, YamlMap):
        message, hint = "plugins must be a mapping", "group plugins by their type"
        problems.add(Code.WRONG_SHAPE, holder.at("plugins"), message, hint)
        return
    for kind, plugins in types.items():
        if plugins is None or isinstance(plugins, bool | int | float):
            message, hint = f"plugins: {kind} has no plugins", "remove the key, or write []"
            problems.add(Code.WRONG_SHAPE, types.at(kind), message, hint)
        elif plugins and kind not in PLUGIN_TYPES:
            message = f"{kind!r} is not a plugin type"
            hint = guess(kind, PLUGIN_TYPES, f"write one of {', '.join(PLUGIN_TYPES[:-1])}")
            problems.add(Code.WRONG_SHAPE, types.at(kind), message, hint)
        else:
            are_mappers = kind == "mappers" and check is _check_plugin
            _check_entries(types, kind, _check_mapper if are_mappers else check, problems)


def _check_keys_are_strings(entry: YamlMap, what: str, problems: Problems) -> None:
    for key in entry:
        if not isinstance(key, str):
            message = f"{what} has the key {key!r}, which must be a string"
            problems.add(Code.WRONG_SHAPE, entry.at(key), message, "quote it, or remove it")


def _check_setting_names(value: Any, what: str, problems: Problems) -> None:
    """Check a setting of Meltano itself, which joins nested keys of any depth to one name."""
    if isinstance(value, YamlMap):
        _check_keys_are_strings(value, what, problems)
        for each in value.values():
            _check_setting_names(each, what, problems)


def _check_keys(
    entry: YamlMap,
    what: str,
    problems: Problems,
    *,
    required: tuple[str, ...] = (),
    allowed: tuple[str, ...] | None = None,
    hint: str = "",
) -> None:
    """Report the keys that an entry lacks and, if only some are allowed, its unknown keys."""
    _check_keys_are_strings(entry, what, problems)
    missing = [key for key in required if key not in entry]
    for key in entry:
        if not isinstance(key, str) or key in (allowed or required):
            continue
        near = difflib.get_close_matches(_KEYS_OF_OTHER_TOOLS.get(key, key), missing, n=1)
        if near:
            missing.remove(near[0])
            message = f"{what} has the key {key!r}"
            problems.add(Code.WRONG_SHAPE, entry.at(key), message, f"did you mean {near[0]!r}?")
        elif allowed is not None:
            message = f"{what} has the key {key!r}, which Meltano does not know"
            some = f"its keys may be {', '.join(allowed)}"
            problems.add(Code.WRONG_SHAPE, entry.at(key), message, hint or some)
    for key in missing:
        message = f"{what} has no `{key}`"
        problems.add(Code.WRONG_SHAPE, entry.location, message, f"add `{key}:`")


def _named(kind: str, entry: YamlMap) -> str:
    article = "an" if kind.startswith("e") else "a"
    return f"{kind} {shown(entry['name'])}" if "name" in entry else f"{article} {kind}"


def _check_name_in_state_id(entry: YamlMap, what: str, problems: Problems) -> None:
    """Check a name that becomes part of state IDs."""
    name = entry.get("name")
    if "name" in entry and not isinstance(name, str | list | dict):
        message = f"the name of {what} must be a string"
        problems.add(Code.WRONG_SHAPE, entry.at("name"), message, "quote it")
    elif isinstance(name, str) and STATE_ID_DELIMITER in name:
        message = f"the name of {what} contains a colon"
        problems.add(Code.WRONG_SHAPE, entry.at("name"), message, "rename it")


def check_job(entry: YamlMap, problems: Problems) -> None:
    """Check one of `jobs`."""
    hint = "a job has `name` and `tasks`; options go to annotations: {airflow: {...}}"
    required = ("name", "tasks")
    what = _named("job", entry)
    _check_keys(entry, what, problems, required=required, allowed=_JOB_KEYS, hint=hint)


def check_environment(entry: YamlMap, problems: Problems) -> None:
    """Check one of `environments`."""
    what = _named("environment", entry)
    hint = (
        "an environment has name, env, config and state_id_suffix; to run a job or schedule only"
        " in some environments, set `environments` in its annotations"
    )
    _check_keys(entry, what, problems, required=("name",), allowed=_ENVIRONMENT_KEYS, hint=hint)
    _check_name_in_state_id(entry, what, problems)
    config = entry.get("config")
    if isinstance(config, YamlMap):
        _check_keys_are_strings(config, f"config of {what}", problems)
        _check_plugins(config, _check_configured_plugin, problems)
    elif config:
        message = f"config of {what} must be a mapping"
        problems.add(Code.WRONG_SHAPE, entry.at("config"), message, "write plugins: ...")


def _check_configured_plugin(entry: YamlMap, problems: Problems) -> None:
    what = _named("plugin", entry)
    _check_keys(entry, what, problems, required=("name",))
    _check_name_in_state_id(entry, what, problems)


def check_schedule(entry: YamlMap, problems: Problems) -> None:
    """Check one of `schedules`, of either form."""
    what = _named("schedule", entry)
    computed = ["cron_interval"]
    required: tuple[str, ...] = ("name", "interval")
    if not entry.get("job"):
        computed.append("elt_args")
        if "extractor" in entry or "loader" in entry:
            required += ("extractor", "loader", "transform")
        else:
            message = f"{what} has no `job`"
            problems.add(Code.WRONG_SHAPE, entry.location, message, "add `job:`")
    _check_keys(entry, what, problems, required=required)
    for key in computed:
        if key in entry:
            message = f"{what} has the key {key!r}, which Meltano computes itself"
            problems.add(Code.WRONG_SHAPE, entry.at(key), message, "remove it")


def _check_plugin(entry: YamlMap, problems: Problems) -> None:
    what = _named("plugin", entry)
    _check_keys(entry, what, problems, required=("name",))
    _check_name_in_state_id(entry, what, problems)
    if "plugin_type" in entry:
        message = f"{what} has the key 'plugin_type'"
        problems.add(Code.WRONG_SHAPE, entry.at("plugin_type"), message, "remove it")
    _check_capabilities(entry, what, problems)
    _check_requires(entry, what, problems)
    _check_settings(entry, what, problems)
    _check_commands(entry, what, problems)


def _check_mapper(entry: YamlMap, problems: Problems) -> None:
    _check_plugin(entry, problems)
    if "mappings" in entry:
        _check_mappings(entry, _named("plugin", entry), problems)


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
    _check_keys(setting, f"a setting of {what}", problems, required=("name",))
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
            _check_keys(command, f"command {name!r} of {what}", problems, allowed=_COMMAND_KEYS)
        elif command is not None and not isinstance(command, str):
            message = f"command {name!r} of {what} must be a string"
            hint = "write one string, such as `run --full-refresh`"
            problems.add(Code.WRONG_SHAPE, commands.at(name), message, hint)


_CHECKS_BY_LIST: dict[str, _Check] = {
    "schedules": check_schedule,
    "environments": check_environment,
    "jobs": check_job,
}
