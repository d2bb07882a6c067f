"""What the words of a job's tasks mean, and which of them make a complete sequence.

Meltano's rule: an extractor, any number of mappings and a loader; or one other plugin, with or
without a `:command`. Source: https://docs.meltano.com/reference/command-line-interface#run and
meltano/core/block/block_parser.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dag_factory.errors import Code, Location, Problem, guess, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap
from dag_factory.project.model import Job, Project
from dag_factory.project.plugins import Plugin

_WRITE_TASKS = "write `tasks: [tap-x target-y, other:command]`"
_PLUGIN_NAME = re.compile(r"\w[\w-]*")
_Fault = tuple[Code, str, str]
_NO_TASKS = (Code.INVALID_TASKS, "it has no tasks", _WRITE_TASKS)


@dataclass(frozen=True)
class Block:
    """One word of a task.

    Attributes:
        text: As written, with its `:command`.
        plugin: The plugin that it names; of a mapping, the mapper.
        location: The item of `tasks` that it stands in.
    """

    text: str
    plugin: Plugin
    location: Location


Blocks = tuple[Block, ...]


def pairs(blocks: Iterable[Block]) -> Iterator[tuple[Block, Block]]:
    """Yield each extractor with the loader after it."""
    extractor: Block | None = None
    for block in blocks:
        if block.plugin.type == "extractors":
            extractor = block
        elif block.plugin.type == "loaders" and extractor is not None:
            yield extractor, block


class Grammar:
    """Reads the tasks of one project's jobs."""

    def __init__(self, project: Project) -> None:
        self._jobs = frozenset(job.name for job in project.jobs if isinstance(job.name, str))
        self._refused = project.refused
        self._plugins: dict[str, Plugin] = {}
        self._mappings: dict[str, list[Plugin]] = {}
        for plugin in project.plugins:
            self._plugins.setdefault(plugin.name, plugin)
            for mapping in plugin.mappings if plugin.type == "mappers" else ():
                self._mappings.setdefault(mapping, []).append(plugin)

    def sequences(self, job: Job) -> tuple[tuple[Blocks, ...], tuple[Problem, ...]]:
        """Join the items of a job's tasks until each is complete by itself.

        Returns:
            The sequences in their order, none where the job cannot run; and the problems. Of a
            plugin that Meltano refuses itself, the problem has been reported already.
        """
        items, problems = _items(job)
        blocks: list[Block] = []
        ends: list[int] = []
        runs = bool(items)
        for words in items:
            for word, location in words:
                plugin = self.plugin_of(word)
                fault = self._fault(word, plugin)
                if plugin and not fault:
                    blocks.append(Block(word, plugin, location))
                    continue
                runs = False
                if fault and fault[0] is Code.CYCLIC_INHERITANCE and plugin:
                    location = plugin.entry.at("inherit_from")  # noqa: PLW2901
                problems += [_problem(job, location, fault)] if fault else []
            ends.append(len(blocks))
        sequences, broken = _joined(job, blocks, ends) if runs else ((), ())
        return sequences, (*problems, *broken)

    def plugin_of(self, word: str) -> Plugin | None:
        """Return the plugin that a word of a task names; of a mapping, the mapper."""
        name, _, command = word.partition(":")
        if ":" in command:
            return None
        return self._plugins.get(name) or next(iter(self._mappings.get(name, ())), None)

    def _fault(self, word: str, plugin: Plugin | None) -> _Fault | None:
        name, _, command = word.partition(":")
        if plugin is None:
            return None if name in self._refused else self._unknown(word, name)
        if plugin.inherits_itself:
            hint = f"correct `inherit_from` of {plugin.name!r}"
            return Code.CYCLIC_INHERITANCE, f"the plugin {plugin.name!r} inherits from itself", hint
        if command and plugin.type not in ("extractors", "loaders", "mappers"):
            return self._ambiguity(word, plugin) or _unknown_command(name, command, plugin)
        return self._ambiguity(word, plugin)

    def _unknown(self, word: str, name: str) -> _Fault:
        known = {each.lower(): each for each in [*self._plugins, *self._mappings]}
        near = difflib.get_close_matches(name.lower(), known, n=1)
        message = f"there is no plugin or mapping {word!r}"
        if word in self._jobs:
            message, hint = f"{word!r} is a job, and jobs do not run jobs", "list its tasks"
        elif word in ("meltano", "run"):
            hint = "write the blocks only, without `meltano run`"
        elif word.startswith("-"):
            message, hint = f"{word!r} is an option, and tasks have none", "remove it"
        elif any(map(str.isspace, word)):
            hint = "put plain spaces between blocks, and no line break or tab"
        else:
            add = f"add it to the project: `meltano add {name}`"
            hint = add if _PLUGIN_NAME.fullmatch(name) else _WRITE_TASKS
            hint = f"did you mean {known[near[0]]!r}?" if near else hint
        return Code.UNKNOWN_PLUGIN, message, hint

    def _ambiguity(self, word: str, plugin: Plugin) -> _Fault | None:
        """Return what else a word could mean, which Meltano refuses."""
        name = word.partition(":")[0]
        if word in self._jobs:
            return Code.UNKNOWN_PLUGIN, f"{word!r} is a plugin and a job", "rename the job"
        if name not in self._plugins and len(self._mappings[name]) > 1:
            message = f"the mapping {word!r} stands in more than one mapper"
            return Code.UNKNOWN_PLUGIN, message, "rename one of them"
        if name not in self._plugins and plugin.loaded_twice:
            message = f"Meltano loads the mapping {word!r} twice, and refuses it"
            return Code.UNKNOWN_PLUGIN, message, "write all mappers into one file"
        if name in self._plugins and plugin.type == "mappers":
            hint = f"name one of its mappings: {', '.join(plugin.mappings) or 'it has none'}"
            return Code.UNKNOWN_PLUGIN, f"{word!r} is a mapper, not a mapping", hint
        return None


def _unknown_command(name: str, command: str, plugin: Plugin) -> _Fault | None:
    if plugin.commands is None or command in plugin.commands:
        return None
    known = f"it has {', '.join(sorted(plugin.commands)) or 'none'}; or add it to its `commands`"
    hint = guess(command, plugin.commands, known)
    return Code.UNKNOWN_COMMAND, f"the plugin {name!r} has no command {command!r}", hint


def _problem(job: Job, location: Location, fault: _Fault) -> Problem:
    code, message, hint = fault
    return Problem(code, location, f"job {job.name!r}: {message}", hint)


def _items(job: Job) -> tuple[list[list[tuple[str, Location]]], list[Problem]]:
    """Return the words of each item of `tasks`, split at spaces as Meltano does."""
    tasks = job.tasks
    problems: list[Problem] = []
    if not tasks:
        return [], [_problem(job, job.entry.at("tasks"), _NO_TASKS)]
    if not isinstance(tasks, YamlList | YamlMap):
        line = " ".join(str(tasks).split())
        no_list = (Code.INVALID_TASKS, "its `tasks` are no list", f"write `tasks: [{line}]`")
        return [], [_problem(job, job.entry.at("tasks"), no_list)]
    items: list[list[tuple[str, Location]]] = []
    for index, task in enumerate(tasks):
        place = tasks.at(task) if isinstance(tasks, YamlMap) else tasks.places[index]
        words = list(_words(task, place))
        fault = _wrong_words(task, [word for word, _ in words])
        if fault:
            return [], [_problem(job, place, fault)]
        if isinstance(task, YamlMap) and task:
            problems.append(_problem(job, place, _mapping(task)))
        items.append(words)
    if not any(items):
        return [], [_problem(job, job.entry.at("tasks"), _NO_TASKS)]
    return items, problems


def _wrong_words(task: Any, words: list[Any]) -> _Fault | None:
    if not all(isinstance(word, str) for word in words):
        return Code.INVALID_TASKS, f"the task {shown(task)} is no text", _WRITE_TASKS
    if not all(words):
        message = f"the task {shown(task)} has a space too many"
        return Code.INVALID_TASKS, message, "put one space between blocks"
    return None


def _mapping(task: YamlMap) -> _Fault:
    names = ", ".join(map(str, task))
    message = f"the task {shown(dict(task))} is a mapping, of which Meltano runs {names!r} only"
    key, value = next(iter(task.items()))
    hint = f"write `{key}:{value}`, without a space" if isinstance(value, str) else _WRITE_TASKS
    return Code.MAPPING_AS_TASK, message, hint


def _words(task: Any, place: Location) -> Iterator[tuple[Any, Location]]:
    if isinstance(task, str):
        column = place.column
        for word in task.split(" "):
            yield word, replace(place, column=column)
            column += len(word) + 1
    elif isinstance(task, YamlList):
        for each, at in zip(task, task.places, strict=True):
            yield from _words(each, at)
    elif isinstance(task, YamlMap):
        for each in task:
            yield from _words(each, task.at(each))
    else:
        yield task, place


def _joined(
    job: Job, blocks: list[Block], ends: list[int]
) -> tuple[tuple[Blocks, ...], tuple[Problem, ...]]:
    """Cut the blocks at the ends of items, where a sequence is complete."""
    hint = "write `extractor [mapping ...] loader`, or a plugin by itself"
    parts: list[Blocks] = []
    start, inside = 0, False
    for place, block in enumerate(blocks, start=1):
        kind = block.plugin.type
        if inside != (kind in ("mappers", "loaders")):
            before = blocks[place - 2].text if inside else ""
            message = (
                f"no loader follows {before!r}"
                if inside
                else f"{block.text!r} has no extractor before it"
            )
            at = blocks[place - 2].location if inside else block.location
            return (), (_problem(job, at, (Code.NOT_A_BLOCK_SEQUENCE, message, hint)),)
        inside = kind in ("extractors", "mappers")
        if not inside and place in ends:
            parts.append(tuple(blocks[start:place]))
            start = place
    if inside:
        message = f"no loader follows {blocks[-1].text!r}"
        fault = (Code.NOT_A_BLOCK_SEQUENCE, message, hint)
        return (), (_problem(job, blocks[-1].location, fault),)
    return tuple(parts), ()
