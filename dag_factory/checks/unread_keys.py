"""Keys that Meltano takes for something of another tool's, and that were meant to be its own."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from dag_factory.errors import Code, Problem
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.catalog import ANNOTATION_KEY, Level, is_option
from dag_factory.project.model import Project

# Without the short ones, which settings of Meltano's own resemble: `venv` is no misspelt `env`.
_TOP_LEVEL = (
    *("plugins", "schedules", "environments", "jobs", "annotations", "include_paths"),
    *("default_environment", "requires_meltano"),
)
_SCHEDULE = (
    *("name", "job", "interval", "env", "annotations"),
    *("extractor", "loader", "transform", "start_date"),
)
_PLUGIN = (
    *("name", "inherit_from", "namespace", "variant", "label", "description", "pip_url", "python"),
    *("executable", "capabilities", "settings", "settings_group_validation", "commands", "config"),
    *("requires", "requires_meltano", "env", "annotations", "mappings", "select", "metadata"),
    *("schema", "catalog", "state", "load_schema", "dialect", "target_schema", "docs", "repo"),
    *("logo_url", "hidden", "update", "vars", "keywords", "maintenance_status", "usage"),
)
_ALIKE = 0.8


def unread(project: Project) -> Iterator[Problem]:
    """Yield what somebody wrote that nobody reads."""
    yield from misspelt_keys(project)
    yield from unread_annotations(project)


def misspelt_keys(project: Project) -> Iterator[Problem]:
    """Yield the keys that look like misspelt ones of Meltano's, and options in the wrong place."""
    yield from _misspelt(project.data, "meltano.yml", _TOP_LEVEL)
    for plugin in project.plugins:
        yield from _misspelt(plugin.entry, f"plugin {plugin.name!r}", _PLUGIN)
    for schedule in project.schedules:
        what = f"schedule {schedule.name!r}"
        yield from _misspelt(schedule.entry, what, _SCHEDULE)
        for key in schedule.entry:
            if is_option(key, Level.SCHEDULE):
                message = f"{what} has the key {key!r}, which nobody reads there"
                hint = f"write annotations: {{airflow: {{{key}: ...}}}}"
                yield Problem(Code.UNREAD_KEY, schedule.entry.at(key), message, hint)


def unread_annotations(project: Project) -> Iterator[Problem]:
    """Yield the options on plugins in environments, which have a place of their own."""
    for environment in project.environments:
        for plugin in project.plugins:
            for entry in environment.configured(plugin):
                annotations = entry.get("annotations")
                if isinstance(annotations, YamlMap) and ANNOTATION_KEY in annotations:
                    message = f"options of {plugin.name!r} in an environment are not read"
                    hint = "put them on the plugin, or on the environment"
                    yield Problem(
                        Code.UNKNOWN_ANNOTATIONS, annotations.at(ANNOTATION_KEY), message, hint
                    )


def _misspelt(entry: YamlMap, what: str, known: Sequence[str]) -> Iterator[Problem]:
    for key in entry:
        if key in known:
            continue
        file = entry.at(key).file
        # What another file of the project has is no reason to be misspelt here.
        absent = [each for each in known if each not in entry or entry.at(each).file != file]
        near = _near(key, absent)
        if near:
            message = f"{what} has the key {key!r}, which Meltano does not read"
            yield Problem(Code.UNREAD_KEY, entry.at(key), message, f"did you mean {near!r}?")


def _near(key: Any, known: Sequence[str]) -> str | None:
    found = difflib.get_close_matches(str(key), known, n=1, cutoff=_ALIKE)
    return found[0] if found else None
