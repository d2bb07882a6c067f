"""A digest of the configuration that a task needs, to compare two copies of a project.

An image and a meltano.yml may be of different versions. A task needs only its own plugins, and what
the project and the environment set for them. It needs no schedule, annotation or other plugin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from dag_factory.meltano_yaml.reader import as_json_value
from dag_factory.project.model import Environment, Project
from dag_factory.project.plugins import Plugin

_DIGEST_LENGTH = 16
_KEYS_THAT_DO_NOT_MATTER = ("annotations", "description", "label", "logo_url", "docs", "repo")


def task_digest(project: Project, environment: Environment, plugins: Iterable[Plugin]) -> str:
    """Return the digest of the configuration that a task needs.

    Args:
        project: The project.
        environment: The Meltano environment in which the task runs.
        plugins: The plugins that the task runs, in order.
    """
    needs = {
        "env": project.data.get("env"),
        "environment": [environment.name, environment.entry.get("env")],
        "state_id_suffix": environment.entry.get("state_id_suffix"),
        "plugins": [
            [plugin.type, *map(_needed, [*plugin.definition, *environment.configured(plugin)])]
            for plugin in plugins
        ],
    }
    text = json.dumps(as_json_value(needs), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def _needed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in entry.items() if key not in _KEYS_THAT_DO_NOT_MATTER}
