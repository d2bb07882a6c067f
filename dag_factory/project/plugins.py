"""The plugins of a project, with their settings and commands.

What the entry of a plugin leaves out comes from the plugin that it inherits from, or from its lock
file below `plugins/`: https://docs.meltano.com/concepts/plugins#plugin-inheritance and
find_parent in meltano/core/project_plugins_service.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, TypeGuard

from dag_factory.errors import Location
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.annotations import Annotations
from dag_factory.project.validation import PLUGIN_TYPES

_SENSITIVE_KINDS = ("password", "oauth")
_FILE_NAME = re.compile(r"[^/\\\0]+")
_NOT_IN_VARIABLE_NAMES = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True)
class Setting:
    """A setting that a plugin declares.

    Attributes:
        name: The name, as in the `config` of the plugin.
        aliases: The other names of the setting.
        sensitive: Whether the value is a secret: the kind is `password` or `oauth`, or the setting
            has `sensitive: true`.
        env_vars: The environment variables from which Meltano reads it. The first is preferred.
    """

    name: str
    aliases: tuple[str, ...]
    sensitive: bool
    env_vars: tuple[str, ...]


@dataclass(frozen=True)
class Plugin:
    """A plugin of the project.

    Attributes:
        type: The type in Meltano's plural, such as `extractors`.
        name: The name that jobs use.
        location: The place of the entry.
        mappings: The names of a mapper's mappings, which jobs use instead of the mapper's name.
        commands: The names of its commands; `None` if its definition is not in the project.
        settings: The settings that it declares or inherits.
        inherits_itself: Whether its `inherit_from` leads back to it.
        loaded_twice: Whether `meltano run` has it twice. Each time that Meltano 4.4 loads a
            project, it adds the plugins of included files to the list in meltano.yml again.
        broken_lock: Its lock file, if that is not a JSON object.
        options: The options that its own annotations set. They are not inherited.
        entry: The entry below `plugins`.
        definition: The entry, then the entries that it inherits from, then the lock file.
    """

    type: str
    name: str
    location: Location
    mappings: tuple[str, ...]
    commands: frozenset[str] | None
    settings: tuple[Setting, ...]
    inherits_itself: bool
    loaded_twice: bool
    broken_lock: Path | None
    entry: YamlMap = field(compare=False)
    definition: tuple[Mapping[str, Any], ...] = field(compare=False)
    options: Annotations = field(default_factory=Annotations)

    @property
    def lineage(self) -> tuple[str, ...]:
        """The name of the plugin, then the names of the project's plugins that it inherits from."""
        return tuple(each["name"] for each in self.definition if isinstance(each, YamlMap))


def env_var(prefix: str, setting: str) -> str:
    """Return the environment variable of a setting, as to_env_var of meltano/core/utils does."""
    return "_".join(
        _NOT_IN_VARIABLE_NAMES.sub("_", part).upper() for part in (prefix, setting) if part
    )


def flat_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Location]]:
    """Yield the dotted name, value and place of each setting.

    Meltano reads `a: {b: 1}` as `a.b: 1`.
    """
    for key, value in config.items() if isinstance(config, YamlMap) else ():
        name = f"{prefix}{key}"
        yield name, value, config.at(key)
        yield from flat_settings(value, f"{name}.")


def read_plugins(root: Path, data: YamlMap) -> Iterator[Plugin]:
    """Yield the plugins of a project in the order in which Meltano looks for a name.

    Args:
        root: The folder of the project, with its lock files.
        data: The merged project. Plugins that Meltano would reject are left out.
    """
    definitions = _Definitions(root, data)
    for kind in PLUGIN_TYPES:
        for entry in definitions.entries(kind):
            yield definitions.plugin(kind, entry)


@dataclass(frozen=True)
class _Lineage:
    """The entries that define a plugin.

    Attributes:
        entries: The plugin's entry, then the entries that it inherits from, then the lock file.
        is_loop: Whether the plugin inherits from itself.
        is_complete: Whether the last entry is a full definition.
    """

    entries: list[Mapping[str, Any]]
    is_loop: bool = False
    is_complete: bool = False


class _Definitions:
    """Finds the definitions of plugins, which they may inherit."""

    def __init__(self, root: Path, data: YamlMap) -> None:
        self.root = root
        types = data.get("plugins")
        self.types = types if isinstance(types, YamlMap) else YamlMap(data.location)
        self.by_name: dict[str, dict[str, YamlMap]] = {}
        self.broken: dict[int, Path] = {}

    def entries(self, kind: str) -> list[YamlMap]:
        return [each for each in _dicts(self.types.get(kind)) if _is_string(each.get("name"))]

    def parent(self, kind: str, name: Any) -> YamlMap | None:
        """Return the first plugin of a type that has a name."""
        if kind not in self.by_name:
            entries = self.entries(kind)
            self.by_name[kind] = {each["name"]: each for each in reversed(entries)}
        return self.by_name[kind].get(name)

    def plugin(self, kind: str, entry: YamlMap) -> Plugin:
        lineage = self.lineage(kind, entry)
        prefixes = dict.fromkeys([entry["name"], _namespace(lineage.entries)])
        settings: dict[str, Setting] = {}
        for definition in reversed(lineage.entries):
            for setting in _dicts(definition.get("settings")):
                found = _setting(setting, tuple(prefixes))
                settings.pop(found.name, None)
                settings[found.name] = found
        commands = [definition.get("commands") for definition in lineage.entries]
        names = [each for known in commands if isinstance(known, dict) for each in known]
        mappings = (each.get("name") for each in _dicts(entry.get("mappings")))
        return Plugin(
            type=kind,
            name=entry["name"],
            location=entry.location,
            mappings=tuple(filter(_is_string, mappings)),
            commands=frozenset(filter(_is_string, names)) if lineage.is_complete else None,
            settings=tuple(settings.values()),
            inherits_itself=lineage.is_loop,
            loaded_twice=self.is_loaded_twice(kind, entry),
            broken_lock=self.broken.get(id(entry)),
            entry=entry,
            definition=tuple(lineage.entries),
        )

    def lineage(self, kind: str, entry: YamlMap) -> _Lineage:
        entries: list[Mapping[str, Any]] = [entry]
        seen = {id(entry)}
        while True:
            child = entries[-1]
            name = child.get("inherit_from")
            inherits = isinstance(name, str) and name not in ("", child["name"])
            if not inherits and child.get("namespace"):
                return _Lineage(entries, is_complete=True)
            parent = self.parent(kind, name) if inherits and not child.get("variant") else None
            if parent is None:
                locked = self.locked(kind, str(name if inherits else child["name"]), entry, child)
                return _Lineage([*entries, *locked], is_complete=bool(locked))
            if id(parent) in seen:
                return _Lineage(entries, is_loop=True)
            seen.add(id(parent))
            entries.append(parent)

    def is_loaded_twice(self, kind: str, entry: YamlMap) -> bool:
        """Return whether an included plugin extends a list of meltano.yml itself."""
        listed, main_file = self.types[kind].location.file, self.root / "meltano.yml"
        return bool(listed == main_file != entry.location.file)

    def locked(
        self, kind: str, name: str, entry: YamlMap, heir: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """Return the definition in the lock file of a plugin, as a list of at most one."""
        variant = heir.get("variant")
        if not all(_FILE_NAME.fullmatch(str(part)) for part in (name, variant)):
            return []
        pattern = f"{escape(name)}--{escape(str(variant)) if variant else '*'}.lock"
        for file in sorted((self.root / "plugins" / kind).glob(pattern)):
            try:
                definition = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError):
                definition = None
            if isinstance(definition, dict):
                return [definition]
            self.broken[id(entry)] = file
        return []


def _is_string(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def _namespace(entries: list[Mapping[str, Any]]) -> str:
    """Return the namespace of a plugin, or what Meltano uses instead if its entry has none."""
    entry = entries[0]
    inherits = entry.get("inherit_from") not in (None, "", entry["name"])
    own = entry.get("namespace") or (entry["name"].replace("-", "_") if inherits else None)
    return str(own or entries[-1].get("namespace") or entry["name"])


def _dicts(values: Any) -> Iterator[Any]:
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def _setting(setting: Mapping[str, Any], prefixes: tuple[str, ...]) -> Setting:
    name = str(setting.get("name"))
    written = setting.get("aliases")
    aliases = tuple(map(str, written if isinstance(written, list) else ()))
    variables = (env_var(prefix, each) for each in (name, *aliases) for prefix in prefixes)
    return Setting(
        name=name,
        aliases=aliases,
        sensitive=setting.get("kind") in _SENSITIVE_KINDS or bool(setting.get("sensitive")),
        env_vars=tuple(dict.fromkeys(variables)),
    )
