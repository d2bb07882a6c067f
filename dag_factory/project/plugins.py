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
from glob import escape
from pathlib import Path
from typing import Any, TypeGuard

from dag_factory.errors import Location
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.annotations import Annotations
from dag_factory.project.validation import PLUGIN_TYPES

_SENSITIVE_KINDS = ("password", "oauth")
_FILE_NAME = re.compile(r"[^/\\\0]+")
_NO_ENV_CHARACTER = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True)
class Setting:
    """A setting that a plugin declares.

    Attributes:
        name: As in its `config`.
        aliases: Other names for it.
        sensitive: Whether its value is a secret: its kind is `password` or `oauth`, or it says so.
        env_vars: The variables that Meltano reads it from; the first is the one to use.
    """

    name: str
    aliases: tuple[str, ...]
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
        broken_lock: Its lock file, where that is no JSON object.
        options: Those that its own annotations set; they are not inherited.
        entry: What is written.
        definition: The same, with the entries that it inherits from and the lock file behind it.
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
        """Its name, and those of the plugins of the project that it inherits from."""
        return tuple(each["name"] for each in self.definition if isinstance(each, YamlMap))


def env_var(prefix: str, setting: str) -> str:
    """Return the variable of a setting, by to_env_var of meltano/core/utils."""
    return "_".join(_NO_ENV_CHARACTER.sub("_", part).upper() for part in (prefix, setting) if part)


def flat_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Location]]:
    """Yield settings by their dotted names: Meltano takes `a: {b: 1}` for `a.b: 1`."""
    for key, value in config.items() if isinstance(config, YamlMap) else ():
        name = f"{prefix}{key}"
        yield name, value, config.at(key)
        yield from flat_settings(value, f"{name}.")


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
        self.by_name: dict[str, dict[str, YamlMap]] = {}
        self.broken: dict[int, Path] = {}

    def entries(self, kind: str) -> list[YamlMap]:
        return [each for each in _mappings(self.types.get(kind)) if _is_text(each.get("name"))]

    def parent(self, kind: str, name: Any) -> YamlMap | None:
        """Return the first plugin of a type by its name."""
        if kind not in self.by_name:
            entries = self.entries(kind)
            self.by_name[kind] = {each["name"]: each for each in reversed(entries)}
        return self.by_name[kind].get(name)

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
            loaded_twice=self.is_loaded_twice(kind, entry),
            broken_lock=self.broken.get(id(entry)),
            entry=entry,
            definition=tuple(chain),
        )

    def chain(self, kind: str, entry: YamlMap) -> tuple[list[Mapping[str, Any]], bool, bool]:
        """Return a plugin and its ancestors, whether that is a loop, and whether it is complete."""
        chain: list[Mapping[str, Any]] = [entry]
        seen = {id(entry)}
        while True:
            child = chain[-1]
            name = child.get("inherit_from")
            inherits = isinstance(name, str) and name not in ("", child["name"])
            if not inherits and child.get("namespace"):
                return chain, False, True
            parent = self.parent(kind, name) if inherits and not child.get("variant") else None
            if parent is None:
                locked = self.locked(kind, str(name if inherits else child["name"]), entry, child)
                return [*chain, *locked], False, bool(locked)
            if id(parent) in seen:
                return chain, True, False
            seen.add(id(parent))
            chain.append(parent)

    def is_loaded_twice(self, kind: str, entry: YamlMap) -> bool:
        """Return whether an included plugin extends a list of meltano.yml itself."""
        listed, main_file = self.types[kind].location.file, self.root / "meltano.yml"
        return bool(listed == main_file != entry.location.file)

    def locked(
        self, kind: str, name: str, entry: YamlMap, heir: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """Return the definition in the lock file of a plugin, if there is one."""
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


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str)


def _namespace(chain: list[Mapping[str, Any]]) -> str:
    """Return what Meltano falls back to where a plugin has no namespace of its own."""
    entry = chain[0]
    inherits = entry.get("inherit_from") not in (None, "", entry["name"])
    own = entry.get("namespace") or (entry["name"].replace("-", "_") if inherits else None)
    return str(own or chain[-1].get("namespace") or entry["name"])


def _mappings(values: Any) -> Iterator[Any]:
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
