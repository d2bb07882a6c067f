"""Checks of the shape of one entry, such as a job or a plugin."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from dag_factory.errors import Code, Problems, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap

_KEYS_OF_OTHER_TOOLS = {"cron": "interval", "schedule": "interval"}
STATE_ID_DELIMITER = ":"
"""The character with which Meltano joins the parts of a state ID. No part may contain it."""

Check = Callable[[YamlMap, Problems], None]


def check_entries(holder: YamlMap, key: str, check: Check, problems: Problems) -> None:
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


def check_keys_are_strings(entry: YamlMap, what: str, problems: Problems) -> None:
    """Report the keys of a mapping that are not strings."""
    for key in entry:
        if not isinstance(key, str):
            message = f"{what} has the key {key!r}, which must be a string"
            problems.add(Code.WRONG_SHAPE, entry.at(key), message, "quote it, or remove it")


def check_keys(
    entry: YamlMap,
    what: str,
    problems: Problems,
    *,
    required: tuple[str, ...] = (),
    allowed: tuple[str, ...] | None = None,
    hint: str = "",
) -> None:
    """Report the keys that an entry lacks and, if only some are allowed, its unknown keys."""
    check_keys_are_strings(entry, what, problems)
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


def named(kind: str, entry: YamlMap) -> str:
    """Return what messages call an entry: `job 'load'`, or `a job` if it has no name."""
    article = "an" if kind.startswith("e") else "a"
    return f"{kind} {shown(entry['name'])}" if "name" in entry else f"{article} {kind}"


def check_name_in_state_id(entry: YamlMap, what: str, problems: Problems) -> None:
    """Check a name that becomes part of state IDs."""
    name = entry.get("name")
    if "name" in entry and not isinstance(name, str | list | dict):
        message = f"the name of {what} must be a string"
        problems.add(Code.WRONG_SHAPE, entry.at("name"), message, "quote it")
    elif isinstance(name, str) and STATE_ID_DELIMITER in name:
        message = f"the name of {what} contains a colon"
        problems.add(Code.WRONG_SHAPE, entry.at("name"), message, "rename it")
