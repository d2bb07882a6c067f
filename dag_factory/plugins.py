"""The plugins of a project, and what is known of their settings and commands.

What a plugin does not say itself comes from the plugin that it inherits from, or from its lock
file below `plugins/`: https://docs.meltano.com/concepts/plugins#plugin-inheritance and
find_parent in meltano/core/project_plugins_service.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from dag_factory.errors import Location
from dag_factory.shapes import PLUGIN_TYPES
from dag_factory.yaml_files import YamlList, YamlMap

_SENSITIVE_KINDS = ("password", "oauth")
_NO_ENV_CHARACTER = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True)
class Setting:
    """A setting that a plugin declares.

    Attributes:
        name: As in its `config`.
        sensitive: Whether its value is a secret: its kind is `password` or `oauth`, or it says so.
        env_vars: The variables that Meltano reads it from; the first is the one to use.
    """

    name: str
    sensitive: bool
    env_vars: tuple[str, ...]


@dataclass(frozen=True)
class Plugin:
    """A plugin of the project.

    Attributes:
        type: Meltano's plural word, such as `extractors`.
        name: As jobs call it.
        location: Where it stands.
        mappings: The names of a mapper's mappings, which jobs call instead of the mapper.
        commands: The names of its commands; `None` where its definition is not in the project.
        settings: Those that it declares or inherits.
        inherits_itself: Whether its `inherit_from` leads back to it.
        loaded_twice: Whether `meltano run` has it twice: Meltano 4.4 adds what a file includes to
            the list of an earlier file each time that it loads the project.
        entry: What is written.
    """

    type: str
    name: str
    location: Location
    mappings: tuple[str, ...]
    commands: frozenset[str] | None
    settings: tuple[Setting, ...]
    inherits_itself: bool
    loaded_twice: bool
    entry: YamlMap = field(compare=False)


def env_var(prefix: str, setting: str) -> str:
    """Return the variable of a setting, by to_env_var of meltano/core/utils."""
    return "_".join(_NO_ENV_CHARACTER.sub("_", part).upper() for part in (prefix, setting) if part)


def read_plugins(root: Path, data: YamlMap) -> Iterator[Plugin]:
    """Yield the plugins of a project in the order in which Meltano looks for a name.

    Args:
        root: The folder of the project, with its lock files.
        data: The merged project; of its plugins, those that Meltano would refuse are passed over.
    """
    definitions = _Definitions(root, data)
    for kind in PLUGIN_TYPES:
        for entry in definitions.entries(kind):
            yield definitions.plugin(kind, entry)


class _Definitions:
    """Finds what plugins inherit."""

    def __init__(self, root: Path, data: YamlMap) -> None:
        self.root = root
        types = data.get("plugins")
        self.types = types if isinstance(types, YamlMap) else YamlMap(data.location)

    def entries(self, kind: str) -> list[YamlMap]:
        entries = self.types.get(kind)
        return [
            entry
            for entry in (entries if isinstance(entries, YamlList) else ())
            if isinstance(entry, YamlMap) and isinstance(entry.get("name"), str)
        ]

    def plugin(self, kind: str, entry: YamlMap) -> Plugin:
        chain, inherits_itself, defined = self.chain(kind, entry)
        prefixes = dict.fromkeys([entry["name"], _namespace(chain)])
        settings: dict[str, Setting] = {}
        for definition in reversed(chain):
            for setting in _mappings(definition.get("settings")):
                found = _setting(setting, tuple(prefixes))
                settings.pop(found.name, None)
                settings[found.name] = found
        commands = [definition.get("commands") for definition in chain]
        names = [each for known in commands if isinstance(known, dict) for each in known]
        mappings = (each.get("name") for each in _mappings(entry.get("mappings")))
        return Plugin(
            type=kind,
            name=entry["name"],
            location=entry.location,
            mappings=tuple(filter(_is_text, mappings)),
            commands=frozenset(filter(_is_text, names)) if defined else None,
            settings=tuple(settings.values()),
            inherits_itself=inherits_itself,
            loaded_twice=entry.location.file != self.types[kind].location.file,
            entry=entry,
        )

    def chain(self, kind: str, entry: YamlMap) -> tuple[list[Mapping[str, Any]], bool, bool]:
        """Return a plugin and its ancestors, whether that is a loop, and whether it is complete."""
        chain: list[Mapping[str, Any]] = [entry]
        while True:
            child = chain[-1]
            name = child.get("inherit_from")
            inherits = isinstance(name, str) and name not in ("", child["name"])
            if not inherits and child.get("namespace"):
                return chain, False, True
            parents = self.entries(kind) if inherits and not child.get("variant") else []
            parent = next((each for each in parents if each["name"] == name), None)
            if parent is None:
                locked = self.locked(kind, name if inherits else child["name"], child)
                return [*chain, *locked], False, bool(locked)
            if any(each is parent for each in chain):
                return chain, True, False
            chain.append(parent)

    def locked(self, kind: str, name: Any, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        variant = entry.get("variant")
        folder = self.root / "plugins" / kind
        files = [folder / f"{name}--{variant}.lock"] if variant else folder.glob(f"{name}--*.lock")
        for file in sorted(files):
            try:
                definition = json.loads(file.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(definition, dict):
                return [definition]
        return []


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def _namespace(chain: list[Mapping[str, Any]]) -> str:
    """Return what Meltano falls back to where a plugin has no namespace of its own."""
    entry = chain[0]
    inherits = entry.get("inherit_from") not in (None, "", entry["name"])
    own = entry.get("namespace") or (entry["name"].replace("-", "_") if inherits else None)
    return str(own or chain[-1].get("namespace") or entry["name"])


def _mappings(values: Any) -> Iterator[Mapping[str, Any]]:
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def _setting(setting: Mapping[str, Any], prefixes: tuple[str, ...]) -> Setting:
    name = str(setting.get("name"))
    aliases = setting.get("aliases")
    names = [name, *map(str, aliases if isinstance(aliases, list) else ())]
    variables = (env_var(prefix, each) for each in names for prefix in prefixes)
    return Setting(
        name=name,
        sensitive=setting.get("kind") in _SENSITIVE_KINDS or bool(setting.get("sensitive")),
        env_vars=tuple(dict.fromkeys(variables)),
    )
