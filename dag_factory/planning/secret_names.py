"""Which secrets a task reads: names alone, `PREFIX/ENVIRONMENT/meltano/NAME`.

The module is not called `secrets`: files of this package that are run by their path would then hide
Python's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dag_factory.planning.plan import SecretPlan
from dag_factory.project.model import Environment, Project
from dag_factory.project.plugins import Plugin
from dag_factory.settings import Settings

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html; the slash
# parts our names. What becomes `_` here is `_` in the variables of Meltano's settings, too.
_ILLEGAL = re.compile(r"[^A-Za-z0-9_+=.@-]")
_NO_KUBERNETES = re.compile(r"[^a-z0-9]+")


class SecretNames:
    """Names the secrets of one environment's tasks; none without a prefix in the settings."""

    def __init__(self, project: Project, environment: Environment, settings: Settings) -> None:
        self._plugins = {each.name: each for each in reversed(project.plugins)}
        prefix = settings.secrets_prefix
        self._folder = prefix and f"{prefix}/{legal_name(environment.name)}/meltano"

    def of_task(self, plugins: Iterable[Plugin], others: Iterable[str]) -> tuple[SecretPlan, ...]:
        """Return what a task reads.

        Args:
            plugins: Those that it runs: of each with a sensitive setting there is a secret.
            others: What its option `secrets` names: plugins, and secrets whose keys are variables.
        """
        if not self._folder:
            return ()
        names = [*others]
        wanted = [each for each in plugins if any(known.sensitive for known in each.settings)]
        wanted += [self._plugins[each] for each in names if each in self._plugins]
        found = [SecretPlan(self._below(*each.lineage), of_plugin=True) for each in wanted]
        variables = (each for each in names if each not in self._plugins)
        found += [SecretPlan((f"{self._folder}/{each}",), of_plugin=False) for each in variables]
        return tuple(dict.fromkeys(found))

    def _below(self, *plugins: str) -> tuple[str, ...]:
        return tuple(f"{self._folder}/{legal_name(each)}" for each in plugins)


def legal_name(name: str) -> str:
    """Return what a plugin or an environment is called in the names of secrets."""
    return _ILLEGAL.sub("_", name)


def kubernetes_name(name: str) -> str:
    """Return what the Secret of Kubernetes is called that holds the variables of a secret."""
    return _NO_KUBERNETES.sub("-", name.lower()).strip("-")
