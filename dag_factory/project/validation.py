"""The shapes for which Meltano rejects a whole project.

Meltano passes the entries of meltano.yml to constructors as keyword arguments. A missing or unknown
key of one job therefore fails every command. The checks here follow these constructors in
meltano/core: meltano_file.py, schedule.py, task_sets.py, environment.py.
"""

from __future__ import annotations

from typing import Any

from dag_factory.errors import Code, Problems, guess
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.project.entry_shapes import (
    Check,
    check_entries,
    check_keys,
    check_keys_are_strings,
    check_name_in_state_id,
    named,
)
from dag_factory.project.plugin_shapes import check_mapper, check_plugin

# In the order in which Meltano looks for a name: PluginType of meltano/core/plugin/base.py.
PLUGIN_TYPES = (
    *("extractors", "loaders", "transforms", "orchestrators"),
    *("transformers", "files", "utilities", "mappers", "mappings"),
)
_JOB_KEYS = ("name", "tasks", "annotations")
_ENVIRONMENT_KEYS = ("name", "config", "env", "state_id_suffix", "annotations")
_TOP_LEVEL_KEYS = (
    *("version", "requires_meltano", "annotations", "env"),
    *("plugins", "schedules", "environments", "jobs"),
)


def check_shapes(data: YamlMap, problems: Problems) -> None:
    """Report the values for which Meltano would reject the project (the common cases).

    Args:
        data: The merged project.
        problems: The collector.
    """
    check_keys_are_strings(data, "meltano.yml", problems)
    for key in data:
        if key not in _TOP_LEVEL_KEYS:
            _check_setting_names(data[key], key, problems)
    _check_plugins(data, check_plugin, problems)
    for key, check in _CHECKS_BY_LIST.items():
        check_entries(data, key, check, problems)
    env = data.get("env")
    if env and not isinstance(env, YamlMap):
        place = data.at("env")
        problems.add(Code.WRONG_SHAPE, place, "env must be a mapping", "write NAME: value")


def is_accepted(entry: Any, check: Check) -> bool:
    """Return whether Meltano accepts one entry of a list."""
    if not isinstance(entry, YamlMap):
        return False
    problems = Problems()
    check(entry, problems)
    return not problems


def _check_plugins(holder: YamlMap, check: Check, problems: Problems) -> None:
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
            are_mappers = kind == "mappers" and check is check_plugin
            check_entries(types, kind, check_mapper if are_mappers else check, problems)


def _check_setting_names(value: Any, what: str, problems: Problems) -> None:
    """Check a setting of Meltano itself, which joins nested keys of any depth to one name."""
    if isinstance(value, YamlMap):
        check_keys_are_strings(value, what, problems)
        for each in value.values():
            _check_setting_names(each, what, problems)


def check_job(entry: YamlMap, problems: Problems) -> None:
    """Check one of `jobs`."""
    hint = "a job has `name` and `tasks`; options go to annotations: {airflow: {...}}"
    required = ("name", "tasks")
    what = named("job", entry)
    check_keys(entry, what, problems, required=required, allowed=_JOB_KEYS, hint=hint)


def check_environment(entry: YamlMap, problems: Problems) -> None:
    """Check one of `environments`."""
    what = named("environment", entry)
    hint = (
        "an environment has name, env, config and state_id_suffix; to run a job or schedule only"
        " in some environments, set `environments` in its annotations"
    )
    check_keys(entry, what, problems, required=("name",), allowed=_ENVIRONMENT_KEYS, hint=hint)
    check_name_in_state_id(entry, what, problems)
    config = entry.get("config")
    if isinstance(config, YamlMap):
        check_keys_are_strings(config, f"config of {what}", problems)
        _check_plugins(config, _check_configured_plugin, problems)
    elif config:
        message = f"config of {what} must be a mapping"
        problems.add(Code.WRONG_SHAPE, entry.at("config"), message, "write plugins: ...")


def _check_configured_plugin(entry: YamlMap, problems: Problems) -> None:
    what = named("plugin", entry)
    check_keys(entry, what, problems, required=("name",))
    check_name_in_state_id(entry, what, problems)


def check_schedule(entry: YamlMap, problems: Problems) -> None:
    """Check one of `schedules`, of either form."""
    what = named("schedule", entry)
    computed = ["cron_interval"]
    required: tuple[str, ...] = ("name", "interval")
    if not entry.get("job"):
        computed.append("elt_args")
        if "extractor" in entry or "loader" in entry:
            required += ("extractor", "loader", "transform")
        else:
            message = f"{what} has no `job`"
            problems.add(Code.WRONG_SHAPE, entry.location, message, "add `job:`")
    check_keys(entry, what, problems, required=required)
    for key in computed:
        if key in entry:
            message = f"{what} has the key {key!r}, which Meltano computes itself"
            problems.add(Code.WRONG_SHAPE, entry.at(key), message, "remove it")


_CHECKS_BY_LIST: dict[str, Check] = {
    "schedules": check_schedule,
    "environments": check_environment,
    "jobs": check_job,
}
