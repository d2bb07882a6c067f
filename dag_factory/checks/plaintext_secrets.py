"""Secrets that stand in the project in clear, or that the project would override.

What is sensitive is what its plugin, or its plugin's lock file, declares so:
https://docs.meltano.com/reference/settings (kinds `password` and `oauth`, `sensitive: true`).
Everything else in the project, also the annotations, is judged by `secret_texts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

from dag_factory.checks.secret_patterns import is_literal, secret_in
from dag_factory.errors import Code, Location, Problem
from dag_factory.meltano_yaml.includes import YamlList, YamlMap
from dag_factory.project.model import Project
from dag_factory.project.plugins import Plugin, flat_settings

_STORE = "take it out of the file, and give Meltano the variable {} where it runs"
_REFER = "write a variable such as ${{TOKEN}} in its place"
_LET_HOLD = "let a connection of Airflow or a Secret of Kubernetes hold it"
_OTHERWISE = "; if it is no secret, end the line with `# meltano-dags: ignore MDF050`"
# What stands in these is about columns: `{password: {selected: false}}`.
_OF_COLUMNS = ("metadata", "schema", "select", "stream_maps")
# `{name: TOKEN, value: x}` and `TOKEN: {default: x}` give x the name TOKEN.
_UNNAMED = ("value", "default")


class _About(NamedTuple):
    """What is known of the values in a part of the project from where that part stands."""

    name: str = ""
    columns: bool = False
    hint: str = _REFER

    def within(self, key: Any, name: str) -> _About:
        hint = self.hint
        if key == "annotations":
            hint = _LET_HOLD
        elif key == "env" and hint is _REFER:
            hint = _STORE
        return _About(name, self.columns or key in _OF_COLUMNS, hint)


def wrong_secrets(project: Project) -> Iterator[Problem]:
    """Yield the secrets in clear, and the `env:` that would override a secret.

    Args:
        project: The project; of its environments, all are looked at.
    """
    known: set[Location] = set()
    for problem in _declared(project):
        known.add(problem.location)
        yield problem
    yield from _undeclared(project.data, _About(), set(), known)


def _declared(project: Project) -> Iterator[Problem]:
    """Yield what is wrong with the settings that their plugins declare to be secret."""
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


def _in_config(plugin: Plugin, entry: YamlMap) -> Iterator[Problem]:
    sensitive = {
        name: each.env_vars[0]
        for each in plugin.settings
        if each.sensitive
        for name in (each.name, *each.aliases)
    }
    if not sensitive:
        return
    for name, value, place in flat_settings(entry.get("config")):
        if name in sensitive and is_literal(value):
            message = f"the setting {name!r} of {plugin.name!r} is a secret in clear"
            hint = _STORE.format(sensitive[name])
            yield Problem(Code.PLAINTEXT_SECRET, place, message, hint)
    declared = entry.get("settings")
    for setting in declared if isinstance(declared, YamlList) else ():
        known = setting.get("name") if isinstance(setting, YamlMap) else None
        if isinstance(known, str) and known in sensitive and is_literal(setting.get("value")):
            message = f"the setting {known!r} of {plugin.name!r} has a secret default in clear"
            hint = _STORE.format(sensitive[known])
            yield Problem(Code.PLAINTEXT_SECRET, setting.at("value"), message, hint)


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
        if is_literal(value):
            message = f"env {name} holds {what} in clear"
            yield Problem(Code.PLAINTEXT_SECRET, env.at(name), message, _STORE.format(name))
        elif overrides and value not in (f"${name}", f"${{{name}}}"):
            message = f"env {name} overrides {what}, even where the process has the right value"
            hint = f"remove it, and give Meltano {name} itself where it runs"
            yield Problem(Code.OVERRIDDEN_SECRET, env.at(name), message, hint)


def _undeclared(
    part: Any, about: _About, seen: set[int], known: Set[Location]
) -> Iterator[Problem]:
    """Yield what looks like a secret in a part of the project, but for the places known to be."""
    if id(part) in seen:
        return
    seen.add(id(part))
    is_map = isinstance(part, YamlMap)
    for key, value in part.items() if is_map else enumerate(part):
        name = _called(key, part, about.name) if is_map else about.name
        is_part = isinstance(value, dict | list)
        found = None if is_part else secret_in(name, value, by_name=not about.columns)
        if not (is_part or found):
            continue
        place = part.at(key) if is_map else part.places[key]
        if place in known:
            continue
        if is_part:
            yield from _undeclared(value, about.within(key, name), seen, known)
        else:
            message = f"{name!r} {found}, in clear"
            hint = f"{about.hint.format(name)}{_OTHERWISE}"
            yield Problem(Code.PLAINTEXT_SECRET, place, message, hint)


def _called(key: Any, holder: YamlMap, above: str) -> str:
    """Return the name of a value: its key, or where that says nothing what is beside or above."""
    return str(holder.get("name", above)) if key in _UNNAMED else str(key)
