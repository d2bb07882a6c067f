"""Whether two copies of a project agree on what a task needs.

An image and a meltano.yml may be of different versions: what counts for a task is its plugins, and
what the project and the environment set for them; no schedule, no annotation and no other plugin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from dag_factory.meltano_yaml.reader import as_json_value
from dag_factory.project.model import Environment, Project
from dag_factory.project.plugins import Plugin

_LENGTH = 16
_NO_MATTER = ("annotations", "description", "label", "logo_url", "docs", "repo")


def task_digest(project: Project, environment: Environment, plugins: Iterable[Plugin]) -> str:
    """Return the digest of what a task that runs these plugins needs.

    Args:
        project: The project.
        environment: The Meltano environment that the task runs in.
        plugins: Those that it runs, in their order.
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
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _needed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in entry.items() if key not in _NO_MATTER}
