"""The names of the secrets that a task reads, never what they hold.

The module is not called `secrets`: a file of this package that is run by its path would then hide
Python's own module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dag_factory.project.model import Environment, Project
from dag_factory.project.plugins import Plugin
from dag_factory.settings import Settings

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html; the slash
# separates the parts of our names. Meltano's variables have `_` for these characters, too.
_ILLEGAL_IN_AWS = re.compile(r"[^A-Za-z0-9_+=.@-]")
_ILLEGAL_IN_KUBERNETES = re.compile(r"[^a-z0-9]+")
_FOLDER = "meltano"


@dataclass(frozen=True)
class SecretName:
    """The name of a secret in AWS Secrets Manager: `PREFIX/ENVIRONMENT/meltano/SHORT_NAME`.

    Attributes:
        prefix: The setting `secrets_prefix`, which may contain slashes.
        environment: The Meltano environment, as `legal_name` writes it.
        short_name: A plugin, as `legal_name` writes it, or a name in the option `secrets`, which
            may contain slashes.
    """

    prefix: str
    environment: str
    short_name: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.short_name}"

    @property
    def folder(self) -> str:
        """The part of the name that all secrets of the environment share."""
        return f"{self.prefix}/{self.environment}/{_FOLDER}"

    @property
    def kubernetes_name(self) -> str:
        """The name of the Kubernetes Secret that holds the variables of this secret."""
        return _ILLEGAL_IN_KUBERNETES.sub("-", str(self).lower()).strip("-")


@dataclass(frozen=True)
class SecretPlan:
    """A secret that a task reads when it starts.

    Attributes:
        names: Its name. For a plugin that inherits, the names of its parents' secrets follow: all
            that exist are read, and at least one must exist.
        of_plugin: Whether its keys are settings of the plugin that the name ends with; otherwise
            they are environment variables.
    """

    names: tuple[SecretName, ...]
    of_plugin: bool


class SecretNames:
    """Names the secrets of one environment's tasks; without a prefix in the settings, none."""

    def __init__(self, project: Project, environment: Environment, settings: Settings) -> None:
        self._plugins = {each.name: each for each in reversed(project.plugins)}
        self._prefix = settings.secrets_prefix or ""
        self._environment = legal_name(environment.name)

    def of_task(self, plugins: Iterable[Plugin], others: Iterable[str]) -> tuple[SecretPlan, ...]:
        """Return the secrets that a task reads.

        Args:
            plugins: The plugins that the task runs; each that has a sensitive setting has a secret.
            others: The names in the option `secrets`: plugins, or secrets that hold variables.
        """
        if not self._prefix:
            return ()
        names = [*others]
        wanted = [each for each in plugins if any(known.sensitive for known in each.settings)]
        wanted += [self._plugins[each] for each in names if each in self._plugins]
        found = [SecretPlan(self._of_plugin(each), of_plugin=True) for each in wanted]
        variables = (each for each in names if each not in self._plugins)
        found += [SecretPlan((self._name(each),), of_plugin=False) for each in variables]
        return tuple(dict.fromkeys(found))

    def _of_plugin(self, plugin: Plugin) -> tuple[SecretName, ...]:
        return tuple(self._name(legal_name(each)) for each in plugin.lineage)

    def _name(self, short_name: str) -> SecretName:
        return SecretName(self._prefix, self._environment, short_name)


def parse_secret_name(text: str) -> SecretName:
    """Return the secret name that a text is.

    The last `/meltano/` separates the parts: a prefix may contain others, a plugin contains none.
    If a name in the option `secrets` contains one, its parts differ from those that were planned,
    but the whole name does not.

    Raises:
        ValueError: The text is not such a name.
    """
    head, _, short_name = text.rpartition(f"/{_FOLDER}/")
    prefix, _, environment = head.rpartition("/")
    if not (prefix and environment and short_name):
        raise ValueError(f"{text!r} is not a secret name such as acme/prod/meltano/tap-a")
    return SecretName(prefix, environment, short_name)


def legal_name(name: str) -> str:
    """Return a plugin's or an environment's name as the names of secrets contain it."""
    return _ILLEGAL_IN_AWS.sub("_", name)
