"""What the words of a job's tasks mean, and which of them make a complete sequence.

Meltano's rule: an extractor, any number of mappings and a loader; or one other plugin, with or
without a `:command`. Source: https://docs.meltano.com/reference/command-line-interface#run and
meltano/core/block/block_parser.py.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dag_factory.errors import Code, Location, Problem
from dag_factory.plugins import Plugin
from dag_factory.project import Job, Project
from dag_factory.yaml_files import YamlList, YamlMap

_WRITE_TASKS = "write `tasks: [tap-x target-y, other:command]`"
_WRITE_SEQUENCE = "write `extractor [mapping ...] loader`, or a plugin by itself"
_Fault = tuple[Code, str, str]


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
        self._plugins: dict[str, Plugin] = {}
        self._mappings: dict[str, list[Plugin]] = {}
        for plugin in project.plugins:
            self._plugins.setdefault(plugin.name, plugin)
            for mapping in plugin.mappings if plugin.type == "mappers" else ():
                self._mappings.setdefault(mapping, []).append(plugin)

    def sequences(self, job: Job) -> tuple[tuple[Blocks, ...], tuple[Problem, ...]]:
        """Join the items of a job's tasks until each is complete by itself.

        Returns:
            The sequences in their order; none where there is a problem.
        """
        items, fault = _items(job.tasks)
        if fault:
            return (), (_problem(job, job.entry.at("tasks"), fault),)
        blocks: list[Block] = []
        problems: list[Problem] = []
        ends: list[int] = []
        for words, location in items:
            for word in words:
                plugin = self._find(word)
                fault = self._fault(word, plugin)
                if fault:
                    problems.append(_problem(job, location, fault))
                elif plugin:
                    blocks.append(Block(word, plugin, location))
            ends.append(len(blocks))
        return ((), tuple(problems)) if problems else _joined(job, blocks, ends)

    def _find(self, word: str) -> Plugin | None:
        name, _, command = word.partition(":")
        if ":" in command:
            return None
        return self._plugins.get(name) or next(iter(self._mappings.get(name, ())), None)

    def _fault(self, word: str, plugin: Plugin | None) -> _Fault | None:
        name, _, command = word.partition(":")
        if plugin is None:
            near = difflib.get_close_matches(name, [*self._plugins, *self._mappings], n=1)
            hint = f"did you mean {near[0]!r}?" if near else "add the plugin to the project"
            return Code.UNKNOWN_PLUGIN, f"there is no plugin or mapping {word!r}", hint
        if plugin.inherits_itself:
            hint = f"correct `inherit_from` of {plugin.name!r}"
            return Code.CYCLIC_INHERITANCE, f"the plugin {plugin.name!r} inherits from itself", hint
        if command and plugin.type not in ("extractors", "loaders", "mappers"):
            return self._ambiguity(word, plugin) or _unknown_command(name, command, plugin)
        return self._ambiguity(word, plugin)

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
    near = difflib.get_close_matches(command, plugin.commands, n=1)
    known = ", ".join(sorted(plugin.commands)) or "it has none"
    hint = f"did you mean {near[0]!r}?" if near else f"add it to its `commands` ({known})"
    return Code.UNKNOWN_COMMAND, f"the plugin {name!r} has no command {command!r}", hint


def _problem(job: Job, location: Location, fault: _Fault) -> Problem:
    code, message, hint = fault
    return Problem(code, location, f"job {job.name!r}: {message}", hint)


def _items(tasks: Any) -> tuple[list[tuple[tuple[str, ...], Location]], _Fault | None]:
    """Return the words of each item of `tasks`, split at spaces as Meltano does."""
    if not tasks:
        return [], (Code.INVALID_TASKS, "it has no tasks", _WRITE_TASKS)
    if not isinstance(tasks, YamlList | YamlMap):
        hint = f"write `tasks: [{tasks}]`"
        return [], (Code.INVALID_TASKS, "its `tasks` are no list", hint)
    items: list[tuple[tuple[str, ...], Location]] = []
    for task in tasks:
        place = tasks.at(task) if isinstance(tasks, YamlMap) else tasks.places[len(items)]
        words = tuple(_words(task))
        if not all(isinstance(word, str) for word in words):
            return [], (Code.INVALID_TASKS, "it has a task that is no text", _WRITE_TASKS)
        if not all(words):
            message = f"it has a task with a space too many: {reprlib.repr(task)}"
            return [], (Code.INVALID_TASKS, message, "put one space between blocks")
        items.append((words, place))
    if not any(words for words, _ in items):
        return [], (Code.INVALID_TASKS, "it has no tasks", _WRITE_TASKS)
    return items, None


def _words(task: Any) -> Iterator[Any]:
    if isinstance(task, str):
        yield from task.split(" ")
    elif isinstance(task, list | dict):
        for each in task:
            yield from _words(each)
    else:
        yield task


def _joined(
    job: Job, blocks: list[Block], ends: list[int]
) -> tuple[tuple[Blocks, ...], tuple[Problem, ...]]:
    """Cut the blocks at the ends of items, where a sequence is complete."""
    parts: list[Blocks] = []
    start, inside = 0, False
    for place, block in enumerate(blocks, start=1):
        kind = block.plugin.type
        if inside != (kind in ("mappers", "loaders")):
            where = (
                f"{block.text!r} stands where the loader of the extractor before it should"
                if inside
                else f"{block.text!r} stands without an extractor before it"
            )
            fault = (Code.NOT_A_BLOCK_SEQUENCE, where, _WRITE_SEQUENCE)
            return (), (_problem(job, block.location, fault),)
        inside = kind in ("extractors", "mappers")
        if not inside and place in ends:
            parts.append(tuple(blocks[start:place]))
            start = place
    if inside:
        message = "it ends after an extractor without a loader"
        fault = (Code.NOT_A_BLOCK_SEQUENCE, message, _WRITE_SEQUENCE)
        return (), (_problem(job, blocks[-1].location, fault),)
    return tuple(parts), ()
