"""The shapes at which Meltano refuses a whole project, with the place of each.

Meltano hands the entries of meltano.yml to constructors by keyword, so that a missing or an unknown
key of one job fails every command. The rules here are those of its constructors: meltano_file.py,
schedule.py, task_sets.py, environment.py and plugin/project_plugin.py in meltano/core.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from dag_factory.errors import Code, Location, Problem, guess, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap

# meltano/core/plugin/base.py: PluginType; a name is looked up in this order.
PLUGIN_TYPES = (
    *("extractors", "loaders", "transforms", "orchestrators"),
    *("transformers", "files", "utilities", "mappers", "mappings"),
)
_JOB_KEYS = ("name", "tasks", "annotations")
_ENVIRONMENT_KEYS = ("name", "config", "env", "state_id_suffix", "annotations")
_COMMAND_KEYS = ("args", "description", "executable", "container_spec", "annotations")
_SYNONYMS = {"cron": "interval", "schedule": "interval"}
_SETTING_KINDS = (
    *("string", "integer", "boolean", "decimal", "date_iso8601", "email", "password"),
    *("oauth", "options", "file", "array", "object", "hidden"),
)
_TOP_LEVEL_KEYS = (
    *("version", "requires_meltano", "annotations", "env"),
    *("plugins", "schedules", "environments", "jobs"),
)
STATE_ID_DELIMITER = ":"
"""What Meltano puts between the parts of a state ID, which therefore may not hold it."""

_Check = Callable[[YamlMap], Iterator[Problem]]


def wrong_shapes(data: YamlMap) -> Iterator[Problem]:
    """Yield at what Meltano would refuse the project, as far as people come across it.

    Args:
        data: The merged project.
    """
    yield from _texts_as_keys(data, "meltano.yml")
    for key in data:
        if key not in _TOP_LEVEL_KEYS:
            yield from _setting_names(data[key], key)
    yield from _plugins(data, _plugin)
    for key, check in _LISTS.items():
        yield from _entries(data, key, check)
    env = data.get("env")
    if env and not isinstance(env, YamlMap):
        yield _wrong(data.at("env"), "env is no mapping", "write NAME: value")


def is_wrong(entry: Any, check: _Check) -> bool:
    """Return whether Meltano would refuse one entry of a list."""
    return not isinstance(entry, YamlMap) or any(True for _ in check(entry))


def _wrong(location: Location, message: str, hint: str) -> Problem:
    return Problem(Code.WRONG_SHAPE, location, message, hint)


def _entries(holder: YamlMap, key: str, check: _Check) -> Iterator[Problem]:
    """Check a list of mappings; whatever Python calls empty counts as no list."""
    values = holder.get(key)
    if not values:
        return
    if not isinstance(values, YamlList):
        yield _wrong(holder.at(key), f"{key} is no list", "begin each entry with `- name:`")
        return
    for value, location in zip(values, values.places, strict=True):
        if isinstance(value, YamlMap):
            yield from check(value)
        else:
            hint = f"write `- name: {value}`" if isinstance(value, str) else "write `- name: ...`"
            yield _wrong(location, f"an entry of {key} is no mapping", hint)


def _plugins(holder: YamlMap, check: _Check) -> Iterator[Problem]:
    """Check plugins by their types, of a project or of an environment's config."""
    types = holder.get("plugins")
    if not types:
        return
    if not isinstance(types, YamlMap):
        yield _wrong(holder.at("plugins"), "plugins is no mapping", "group plugins by their type")
        return
    for kind, plugins in types.items():
        if plugins is None or isinstance(plugins, bool | int | float):
            message = f"plugins: {kind} has no plugins"
            yield _wrong(types.at(kind), message, "remove the key, or write []")
        elif plugins and kind not in PLUGIN_TYPES:
            message = f"there is no plugin type {kind!r}"
            some = f"write one of {', '.join(PLUGIN_TYPES[:-1])}"
            yield _wrong(types.at(kind), message, guess(kind, PLUGIN_TYPES, some))
        else:
            mappers = kind == "mappers" and check is _plugin
            yield from _entries(types, kind, _mapper if mappers else check)


def _texts_as_keys(entry: YamlMap, what: str) -> Iterator[Problem]:
    for key in entry:
        if not isinstance(key, str):
            message = f"{what} has the key {key!r}, which is no text"
            yield _wrong(entry.at(key), message, "quote it, or remove it")


def _setting_names(value: Any, what: str) -> Iterator[Problem]:
    """Check a setting of Meltano's own: it joins nested keys to one name, at any depth."""
    if isinstance(value, YamlMap):
        yield from _texts_as_keys(value, what)
        for each in value.values():
            yield from _setting_names(each, what)


def _keys(
    entry: YamlMap,
    what: str,
    needed: tuple[str, ...],
    known: tuple[str, ...] | None = None,
    hint: str = "",
) -> Iterator[Problem]:
    """Check for keys that an entry lacks or, where it takes no others, has too many."""
    yield from _texts_as_keys(entry, what)
    missing = [key for key in needed if key not in entry]
    for key in entry:
        if not isinstance(key, str) or key in (known or needed):
            continue
        near = difflib.get_close_matches(_SYNONYMS.get(key, key), missing, n=1)
        if near:
            missing.remove(near[0])
            yield _wrong(entry.at(key), f"{what} has the key {key!r}", f"did you mean {near[0]!r}?")
        elif known is not None:
            message = f"{what} has the key {key!r}, which Meltano does not know"
            yield _wrong(entry.at(key), message, hint or f"it has {', '.join(known)}")
    for key in missing:
        yield _wrong(entry.location, f"{what} has no `{key}`", f"add `{key}:`")


def _named(kind: str, entry: YamlMap) -> str:
    article = "an" if kind.startswith("e") else "a"
    return f"{kind} {shown(entry['name'])}" if "name" in entry else f"{article} {kind}"


def _state_id_part(entry: YamlMap, what: str) -> Iterator[Problem]:
    """Check a name that becomes part of state IDs."""
    name = entry.get("name")
    if "name" in entry and not isinstance(name, str | list | dict):
        yield _wrong(entry.at("name"), f"the name of {what} is no text", "quote it")
    elif isinstance(name, str) and STATE_ID_DELIMITER in name:
        yield _wrong(entry.at("name"), f"the name of {what} holds a colon", "rename it")


def job(entry: YamlMap) -> Iterator[Problem]:
    """Check one of `jobs`."""
    hint = "a job has `name` and `tasks`; options go to annotations: {airflow: {...}}"
    yield from _keys(entry, _named("job", entry), ("name", "tasks"), _JOB_KEYS, hint)


def environment(entry: YamlMap) -> Iterator[Problem]:
    """Check one of `environments`."""
    what = _named("environment", entry)
    hint = "an environment has name, env, config and state_id_suffix; a job or schedule says in its"
    hint += " annotations in which environments it runs"
    yield from _keys(entry, what, ("name",), _ENVIRONMENT_KEYS, hint)
    yield from _state_id_part(entry, what)
    config = entry.get("config")
    if isinstance(config, YamlMap):
        yield from _texts_as_keys(config, f"config of {what}")
        yield from _plugins(config, _configured)
    elif config:
        yield _wrong(entry.at("config"), f"config of {what} is no mapping", "write plugins: ...")


def _configured(entry: YamlMap) -> Iterator[Problem]:
    what = _named("plugin", entry)
    yield from _keys(entry, what, ("name",))
    yield from _state_id_part(entry, what)


def schedule(entry: YamlMap) -> Iterator[Problem]:
    """Check one of `schedules`, of either form."""
    what = _named("schedule", entry)
    if entry.get("job"):
        yield from _keys(entry, what, ("name", "interval"))
        reserved = ["cron_interval"]
    else:
        older = "extractor" in entry or "loader" in entry
        if not older:
            yield _wrong(entry.location, f"{what} names no `job`", "add `job:`")
        needed = ("extractor", "loader", "transform") if older else ()
        yield from _keys(entry, what, ("name", "interval", *needed))
        reserved = ["cron_interval", "elt_args"]
    for key in reserved:
        if key in entry:
            message = f"{what} has the key {key!r}, which Meltano works out itself"
            yield _wrong(entry.at(key), message, "remove it")


def _plugin(entry: YamlMap) -> Iterator[Problem]:
    what = _named("plugin", entry)
    yield from _keys(entry, what, ("name",))
    yield from _state_id_part(entry, what)
    if "plugin_type" in entry:
        yield _wrong(entry.at("plugin_type"), f"{what} has the key 'plugin_type'", "remove it")
    yield from _capabilities(entry, what)
    yield from _requires(entry, what)
    yield from _settings(entry, what)
    yield from _commands(entry, what)


def _mapper(entry: YamlMap) -> Iterator[Problem]:
    yield from _plugin(entry)
    if "mappings" in entry:
        yield from _mappings(entry, _named("plugin", entry))


def _capabilities(entry: YamlMap, what: str) -> Iterator[Problem]:
    capabilities = entry.get("capabilities")
    custom = entry.get("namespace") and not entry.get("inherit_from")
    if custom and capabilities and not isinstance(capabilities, str | list | dict):
        place = entry.at("capabilities")
        yield _wrong(place, f"capabilities of {what} is no list", "write [catalog, discover]")


def _requires(entry: YamlMap, what: str) -> Iterator[Problem]:
    requires = entry.get("requires")
    if requires is None or (isinstance(requires, YamlMap) and all(map(_needs, requires.values()))):
        return
    message = f"requires of {what} is no mapping of plugins by their type"
    yield _wrong(entry.at("requires"), message, "write {TYPE: [{name: PLUGIN}]}")


def _needs(plugins: Any) -> bool:
    """Return whether Meltano takes it for a list of plugins, as it does what is empty."""
    if isinstance(plugins, list):
        return all(isinstance(each, dict | None) for each in plugins)
    return plugins in ("", {})


def _mappings(entry: YamlMap, what: str) -> Iterator[Problem]:
    mappings = entry["mappings"]
    if not isinstance(mappings, YamlList):
        if mappings not in ("", {}):
            place = entry.at("mappings")
            yield _wrong(place, f"mappings of {what} is no list", "write [] for none")
        return
    for mapping, location in zip(mappings, mappings.places, strict=True):
        if not isinstance(mapping, YamlMap):
            yield _wrong(location, f"a mapping of {what} is no mapping", "write name: and config:")


def _settings(entry: YamlMap, what: str) -> Iterator[Problem]:
    settings = entry.get("settings")
    if not settings:
        return
    if not isinstance(settings, YamlList):
        yield _wrong(entry.at("settings"), f"settings of {what} is no list", "write `- name: ...`")
        return
    for setting, location in zip(settings, settings.places, strict=True):
        if setting is None:
            continue
        if not isinstance(setting, YamlMap):
            yield _wrong(location, f"a setting of {what} is no mapping", "write `- name: ...`")
            continue
        yield from _keys(setting, f"a setting of {what}", ("name",))
        kind = setting.get("kind")
        if kind and kind not in _SETTING_KINDS:
            message = f"{what} has a setting of the unknown kind {shown(kind)}"
            yield _wrong(setting.at("kind"), message, f"write one of {', '.join(_SETTING_KINDS)}")


def _commands(entry: YamlMap, what: str) -> Iterator[Problem]:
    commands = entry.get("commands")
    if commands is None:
        return
    if not isinstance(commands, YamlMap):
        yield _wrong(entry.at("commands"), f"commands of {what} is no mapping", "write NAME: args")
        return
    for name, command in commands.items():
        if isinstance(command, YamlMap):
            yield from _keys(command, f"command {name!r} of {what}", (), _COMMAND_KEYS)
        elif command is not None and not isinstance(command, str):
            message = f"command {name!r} of {what} is no text"
            hint = "write one text, such as `run --full-refresh`"
            yield _wrong(commands.at(name), message, hint)


_LISTS: dict[str, _Check] = {"schedules": schedule, "environments": environment, "jobs": job}
