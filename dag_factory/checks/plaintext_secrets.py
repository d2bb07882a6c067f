"""Plaintext secrets in the project, and `env:` that overrides a secret.

A setting is secret if its plugin, or the plugin's lock file, declares it so:
https://docs.meltano.com/reference/settings (kinds `password` and `oauth`, `sensitive: true`).
Everything else in the project, including annotations, is judged by `secret_patterns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

from dag_factory.errors import Code, Location, Problems
from dag_factory.meltano_yaml.includes import YamlList, YamlMap
from dag_factory.project.model import Project
from dag_factory.project.plugins import Plugin, flat_settings
from dag_factory.secret_patterns import UNNAMED_KEYS, is_literal, secret_in

_SET_WHERE_MELTANO_RUNS = (
    "take it out of the file, and set the environment variable {} where Meltano runs"
)
_WRITE_REFERENCE = "replace the secret with a variable such as ${{TOKEN}}"
_LET_OTHERS_HOLD_IT = "move it to an Airflow connection or a Kubernetes Secret"
_SILENCE_HINT = "; if the value is not a secret, end the line with `# meltano-dags: ignore MDF050`"
# The keys below these are the names of columns: `{password: {selected: false}}`.
_COLUMN_KEYS = ("metadata", "schema", "select", "stream_maps")


class _Context(NamedTuple):
    """What the place of a part of the project tells about the values in it.

    Attributes:
        name: The name of a value without a name of its own.
        columns: Whether keys are the names of columns.
        hint: What to do about a secret; `{}` stands for its name.
    """

    name: str = ""
    columns: bool = False
    hint: str = _WRITE_REFERENCE

    def within(self, key: Any, name: str) -> _Context:
        hint = self.hint
        if key == "annotations":
            hint = _LET_OTHERS_HOLD_IT
        elif key == "env" and hint is _WRITE_REFERENCE:
            hint = _SET_WHERE_MELTANO_RUNS
        return _Context(name, self.columns or key in _COLUMN_KEYS, hint)


def check_plaintext_secrets(project: Project, problems: Problems) -> None:
    """Report plaintext secrets, and each `env:` that overrides a secret, in all environments."""
    declared = Problems()
    _check_declared(project, declared)
    problems.extend(declared)
    known = {each.location for each in declared}
    for name, reason, cure, place in _undeclared(project.data, _Context(), set(), known):
        hint = f"{cure.format(name)}{_SILENCE_HINT}"
        problems.add(Code.PLAINTEXT_SECRET, place, f"{name!r} {reason}, in plaintext", hint)


def _check_declared(project: Project, problems: Problems) -> None:
    """Report what is wrong with the settings that their plugins declare to be secret."""
    settings = {
        variable: (plugin, setting.name)
        for plugin in project.plugins
        for setting in plugin.settings
        if setting.sensitive
        for variable in setting.env_vars
    }
    for plugin in project.plugins:
        _check_config(plugin, plugin.entry, problems)
        _check_env(plugin.entry, settings, problems, overrides=False)
    for environment in project.environments:
        _check_env(environment.entry, settings, problems, overrides=True)
        for plugin in project.plugins:
            for entry in environment.configured(plugin):
                _check_config(plugin, entry, problems)
                _check_env(entry, settings, problems, overrides=False)
    _check_env(project.data, settings, problems, overrides=True)
    for schedule in project.schedules:
        _check_env(schedule.entry, settings, problems, overrides=False)


def _check_config(plugin: Plugin, entry: YamlMap, problems: Problems) -> None:
    variables = {
        name: each.env_vars[0]
        for each in plugin.settings
        if each.sensitive
        for name in (each.name, *each.aliases)
    }
    if not variables:
        return
    for name, value, place in flat_settings(entry.get("config")):
        if name in variables and is_literal(value):
            message = f"the setting {name!r} of {plugin.name!r} is a plaintext secret"
            hint = _SET_WHERE_MELTANO_RUNS.format(variables[name])
            problems.add(Code.PLAINTEXT_SECRET, place, message, hint)
    declared = entry.get("settings")
    for setting in declared if isinstance(declared, YamlList) else ():
        known = setting.get("name") if isinstance(setting, YamlMap) else None
        if isinstance(known, str) and known in variables and is_literal(setting.get("value")):
            message = f"the default of {known!r} of {plugin.name!r} is a plaintext secret"
            hint = _SET_WHERE_MELTANO_RUNS.format(variables[known])
            problems.add(Code.PLAINTEXT_SECRET, setting.at("value"), message, hint)


def _check_env(
    holder: YamlMap,
    settings: Mapping[str, tuple[Plugin, str]],
    problems: Problems,
    *,
    overrides: bool,
) -> None:
    env = holder.get("env")
    if not isinstance(env, YamlMap):
        return
    for name, value in env.items():
        if name not in settings:
            continue
        plugin, setting = settings[name]
        what = f"the secret setting {setting!r} of {plugin.name!r}"
        if is_literal(value):
            message = f"env {name} holds {what} in plaintext"
            hint = _SET_WHERE_MELTANO_RUNS.format(name)
            problems.add(Code.PLAINTEXT_SECRET, env.at(name), message, hint)
        elif overrides and value not in (f"${name}", f"${{{name}}}"):
            message = f"env {name} replaces the value that {what} gets from the environment"
            hint = f"remove it here, and set the environment variable {name} where Meltano runs"
            problems.add(Code.OVERRIDDEN_SECRET, env.at(name), message, hint)


def _undeclared(
    part: Any, context: _Context, seen: set[int], known: Set[Location]
) -> Iterator[tuple[str, str, str, Location]]:
    """Yield the name, reason, hint and place of each value that looks like a secret.

    Args:
        part: A part of the project.
        context: What its place tells about it.
        seen: The identities of the parts that were searched: aliases repeat them.
        known: The places to leave out, as they are reported already.
    """
    if id(part) in seen:
        return
    seen.add(id(part))
    is_map = isinstance(part, YamlMap)
    for key, value in part.items() if is_map else enumerate(part):
        name = _value_name(key, part, context.name) if is_map else context.name
        is_part = isinstance(value, dict | list)
        reason = None if is_part else secret_in(name, value, by_name=not context.columns)
        if not (is_part or reason):
            continue
        place = part.at(key) if is_map else part.places[key]
        if place in known:
            continue
        if is_part:
            yield from _undeclared(value, context.within(key, name), seen, known)
        elif reason:
            yield name, reason, context.hint, place


def _value_name(key: Any, holder: YamlMap, above: str) -> str:
    """Return the name of a value: its key, unless the key names nothing, as `value` does."""
    return str(holder.get("name", above)) if key in UNNAMED_KEYS else str(key)
