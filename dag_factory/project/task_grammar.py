"""The grammar of a job's tasks: the plugin that each word names, and where a sequence is complete.

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

from dag_factory.errors import Code, Location, Problems, guess, shown
from dag_factory.meltano_yaml.includes import YamlList, YamlMap
from dag_factory.project.model import Job, Project
from dag_factory.project.plugins import Plugin

_WRITE_TASKS = "write `tasks: [tap-x target-y, other:command]`"
_WRITE_SEQUENCE = "write `extractor [mapping ...] loader`, or a plugin by itself"
_PLUGIN_NAME = re.compile(r"\w[\w-]*")


@dataclass(frozen=True)
class Block:
    """One word of a task.

    Attributes:
        text: The word as written, with its `:command`.
        plugin: The plugin that the word names. If it names a mapping, the mapper.
        location: The place of the word.
    """

    text: str
    plugin: Plugin
    location: Location


Blocks = tuple[Block, ...]
_Words = list[tuple[str, Location]]


def pairs(blocks: Iterable[Block]) -> Iterator[tuple[Block, Block]]:
    """Yield each extractor with the loader that follows it."""
    extractor: Block | None = None
    for block in blocks:
        if block.plugin.type == "extractors":
            extractor = block
        elif block.plugin.type == "loaders" and extractor is not None:
            yield extractor, block


class Grammar:
    """Reads the tasks of one project's jobs.

    Attributes:
        jobs: The names of the project's jobs.
        plugins: The plugins by their names.
        mappers: The mappers that have a mapping, by its name.
        rejected_names: The names in the parts of the project that Meltano rejects.
    """

    def __init__(self, project: Project) -> None:
        self.jobs = frozenset(job.name for job in project.jobs if isinstance(job.name, str))
        self.rejected_names = project.rejected_names
        self.plugins: dict[str, Plugin] = {}
        self.mappers: dict[str, list[Plugin]] = {}
        for plugin in project.plugins:
            self.plugins.setdefault(plugin.name, plugin)
            for mapping in plugin.mappings if plugin.type == "mappers" else ():
                self.mappers.setdefault(mapping, []).append(plugin)

    def sequences(self, job: Job, problems: Problems) -> tuple[Blocks, ...]:
        """Return the complete sequences of a job's tasks; none if the job cannot run.

        Items of `tasks` are joined until they are complete. A plugin that Meltano rejects has been
        reported where the project was read, and is not reported again.
        """
        return _JobReader(self, job, problems).sequences()

    def plugin_of(self, word: str) -> Plugin | None:
        """Return the plugin that a word of a task names. If it names a mapping, the mapper."""
        name, _, command = word.partition(":")
        if ":" in command:
            return None
        return self.plugins.get(name) or next(iter(self.mappers.get(name, ())), None)


class _JobReader:
    """Reads the tasks of one job."""

    def __init__(self, grammar: Grammar, job: Job, problems: Problems) -> None:
        self.grammar = grammar
        self.job = job
        self.problems = problems

    def report(self, code: Code, place: Location, message: str, hint: str) -> None:
        self.problems.add(code, place, f"job {self.job.name!r}: {message}", hint)

    def sequences(self) -> tuple[Blocks, ...]:
        items = self.items()
        blocks: list[Block] = []
        ends: list[int] = []
        for words in items:
            blocks += filter(None, (self.block(word, place) for word, place in words))
            ends.append(len(blocks))
        is_whole = len(blocks) == sum(map(len, items))
        return self.cut(blocks, ends) if is_whole else ()

    def items(self) -> list[_Words]:
        """Return the words of each item of `tasks`, split at spaces as Meltano does."""
        tasks, place = self.job.tasks, self.job.entry.at("tasks")
        written: list[tuple[Any, Location]] = []
        if isinstance(tasks, YamlMap):
            written = [(task, tasks.at(task)) for task in tasks]
        elif isinstance(tasks, YamlList):
            written = list(zip(tasks, tasks.places, strict=True))
        elif tasks:
            line = " ".join(str(tasks).split())
            hint = f"write `tasks: [{line}]`"
            self.report(Code.INVALID_TASKS, place, "`tasks` must be a list", hint)
            return []
        items = [[*_words(task, at)] for task, at in written]
        for (task, at), words in zip(written, items, strict=True):
            if not self.are_words([word for word, _ in words], task, at):
                return []
        if not any(items):
            self.report(Code.INVALID_TASKS, place, "`tasks` must not be empty", _WRITE_TASKS)
            return []
        for task, at in written:
            if isinstance(task, YamlMap) and task:
                self.report_mapping(task, at)
        return items

    def are_words(self, words: list[Any], task: Any, place: Location) -> bool:
        if not all(isinstance(word, str) for word in words):
            message = f"the task {shown(task)} must be a string"
            hint = "remove the empty item, or write a task" if task is None else _WRITE_TASKS
            self.report(Code.INVALID_TASKS, place, message, hint)
            return False
        if not all(words):
            message = f"the task {shown(task)} has an extra space"
            hint = "remove spaces at its start and its end, and put one between blocks"
            self.report(Code.INVALID_TASKS, place, message, hint)
            return False
        return True

    def report_mapping(self, task: YamlMap, place: Location) -> None:
        names = ", ".join(map(str, task))
        message = f"the task {shown(dict(task))} is a mapping, of which Meltano runs only {names!r}"
        key, value = next(iter(task.items()))
        hint = f"write `{key}:{value}`, without a space" if isinstance(value, str) else _WRITE_TASKS
        self.report(Code.MAPPING_AS_TASK, place, message, hint)

    def block(self, word: str, place: Location) -> Block | None:
        """Return the block of a word; none if Meltano would reject the word."""
        name, _, command = word.partition(":")
        plugin = self.grammar.plugin_of(word)
        if plugin is None:
            if name not in self.grammar.rejected_names:
                self.report_unknown(word, place)
            return None
        if plugin.inherits_itself:
            parent = plugin.entry.get("inherit_from")
            through = "" if parent == plugin.name else f" through {parent!r}"
            message = f"the plugin {plugin.name!r} inherits from itself{through}"
            hint = f"correct `inherit_from` of {plugin.name!r}"
            origin = plugin.entry.at("inherit_from")
            self.report(Code.CYCLIC_INHERITANCE, origin, message, hint)
            return None
        if self.is_ambiguous(word, plugin, place):
            return None
        ignores_command = plugin.type in ("extractors", "loaders", "mappers")
        commands = None if ignores_command else plugin.commands
        if command and commands is not None and command not in commands:
            self.report_unknown_command(name, command, commands, place)
            return None
        return Block(word, plugin, place)

    def report_unknown(self, word: str, place: Location) -> None:
        message = f"no plugin or mapping is named {word!r}"
        if word in self.grammar.jobs:
            message, hint = f"{word!r} is a job, and a job cannot run a job", "list its tasks"
        elif word in ("meltano", "run"):
            hint = "write the blocks only, without `meltano run`"
        elif word.startswith("-"):
            message, hint = f"{word!r} is an option, and a task cannot have options", "remove it"
        elif any(map(str.isspace, word)):
            hint = "separate blocks by plain spaces, not by line breaks or tabs"
        else:
            hint = self.near_or_new(word.partition(":")[0])
        self.report(Code.UNKNOWN_PLUGIN, place, message, hint)

    def near_or_new(self, name: str) -> str:
        """Return the hint that suggests a similar name in any case, or to add the plugin."""
        known = {each.lower(): each for each in [*self.grammar.plugins, *self.grammar.mappers]}
        if near := difflib.get_close_matches(name.lower(), known, n=1):
            return f"did you mean {known[near[0]]!r}?"
        is_name = _PLUGIN_NAME.fullmatch(name)
        return f"add it to the project: `meltano add {name}`" if is_name else _WRITE_TASKS

    def is_ambiguous(self, word: str, plugin: Plugin, place: Location) -> bool:
        """Return whether a word could also mean something else, for which Meltano rejects it."""
        name = word.partition(":")[0]
        is_mapping = name not in self.grammar.plugins
        if word in self.grammar.jobs:
            message, hint = f"{word!r} is a plugin and a job", "rename the job"
        elif is_mapping and len(self.grammar.mappers[name]) > 1:
            message = f"more than one mapper has a mapping named {word!r}"
            hint = "rename the mapping in all mappers but one"
        elif is_mapping and plugin.loaded_twice:
            message = f"Meltano loads the mapping {word!r} twice, and rejects it"
            hint = "write all mappers into one file"
        elif not is_mapping and plugin.type == "mappers":
            message = f"{word!r} is a mapper, not a mapping"
            names = ", ".join(plugin.mappings)
            hint = f"name one of its mappings: {names}" if names else "add a mapping to it"
        else:
            return False
        self.report(Code.UNKNOWN_PLUGIN, place, message, hint)
        return True

    def report_unknown_command(
        self, name: str, command: str, known: Iterable[str], place: Location
    ) -> None:
        names = ", ".join(sorted(known))
        add = f"add {command!r} to the `commands` of the plugin"
        hint = guess(command, known, f"use one of {names}; or {add}" if names else add)
        message = f"the plugin {name!r} has no command {command!r}"
        self.report(Code.UNKNOWN_COMMAND, place, message, hint)

    def cut(self, blocks: list[Block], ends: list[int]) -> tuple[Blocks, ...]:
        """Cut the blocks at the ends of items where a sequence is complete."""
        sequences: list[Blocks] = []
        start = 0
        waits_for_loader: Block | None = None
        for end, block in enumerate(blocks, start=1):
            kind = block.plugin.type
            continues = kind in ("mappers", "loaders")
            if waits_for_loader and not continues:
                break
            if continues and not waits_for_loader:
                message = f"{block.text!r} does not come directly after an extractor or a mapping"
                self.report(Code.NOT_A_BLOCK_SEQUENCE, block.location, message, _WRITE_SEQUENCE)
                return ()
            waits_for_loader = block if kind in ("extractors", "mappers") else None
            if not waits_for_loader and end in ends:
                sequences.append(tuple(blocks[start:end]))
                start = end
        if waits_for_loader:
            message = f"no loader follows {waits_for_loader.text!r}"
            place = waits_for_loader.location
            self.report(Code.NOT_A_BLOCK_SEQUENCE, place, message, _WRITE_SEQUENCE)
            return ()
        return tuple(sequences)


def _words(task: Any, place: Location) -> Iterator[tuple[Any, Location]]:
    """Yield the words of a task, at any depth, each with its place."""
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
