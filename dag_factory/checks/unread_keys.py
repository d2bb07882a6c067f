"""Keys that Meltano ignores, although they look like misspelt keys of Meltano or options."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from dag_factory.errors import Code, Problems
from dag_factory.meltano_yaml.includes import YamlMap
from dag_factory.options.catalog import ANNOTATION_KEY, Level, is_option
from dag_factory.project.model import Project

# Without short keys: settings of Meltano resemble them, as `venv` is not a misspelt `env`.
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
_SIMILARITY_CUTOFF = 0.8


def check_unread_keys(project: Project, problems: Problems) -> None:
    """Report keys and options that nothing reads."""
    _check_misspelt_keys(project, problems)
    _check_unread_annotations(project, problems)


def _check_misspelt_keys(project: Project, problems: Problems) -> None:
    """Report keys that look like misspelt keys of Meltano, and options next to `annotations`."""
    _check_spelling(project.data, "meltano.yml", _TOP_LEVEL, problems)
    for plugin in project.plugins:
        _check_spelling(plugin.entry, f"plugin {plugin.name!r}", _PLUGIN, problems)
    for schedule in project.schedules:
        what = f"schedule {schedule.name!r}"
        _check_spelling(schedule.entry, what, _SCHEDULE, problems)
        for key in schedule.entry:
            if is_option(key, Level.SCHEDULE):
                message = f"{what} has the key {key!r}, which nothing reads there"
                hint = f"write annotations: {{{ANNOTATION_KEY}: {{{key}: ...}}}}"
                problems.add(Code.UNREAD_KEY, schedule.entry.at(key), message, hint)


def _check_unread_annotations(project: Project, problems: Problems) -> None:
    """Report options on plugins in environments: they are read on the plugin or the environment."""
    for environment in project.environments:
        for plugin in project.plugins:
            for entry in environment.configured(plugin):
                annotations = entry.get("annotations")
                if isinstance(annotations, YamlMap) and ANNOTATION_KEY in annotations:
                    message = f"options of {plugin.name!r} in an environment are not read"
                    hint = "put them on the plugin, or on the environment"
                    place = annotations.at(ANNOTATION_KEY)
                    problems.add(Code.UNKNOWN_ANNOTATIONS, place, message, hint)


def _check_spelling(entry: YamlMap, what: str, known: Sequence[str], problems: Problems) -> None:
    for key in entry:
        if key in known:
            continue
        file = entry.at(key).file
        # A key may be misspelt here even if another file of the project has the right one.
        absent = [each for each in known if each not in entry or entry.at(each).file != file]
        if near := difflib.get_close_matches(str(key), absent, n=1, cutoff=_SIMILARITY_CUTOFF):
            message = f"{what} has the key {key!r}, which Meltano does not read"
            problems.add(Code.UNREAD_KEY, entry.at(key), message, f"did you mean {near[0]!r}?")
