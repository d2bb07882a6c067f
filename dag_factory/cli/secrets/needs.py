"""Which secrets a project needs in its environment, and how each is: never what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from dag_factory.errors import Problem
from dag_factory.options.pod_values import EXAMPLE_IMAGE
from dag_factory.planning.planner import read_all_plans
from dag_factory.project.model import read_project
from dag_factory.project.plugins import Plugin, Setting
from dag_factory.secrets.aws import Fetched
from dag_factory.secrets.unread_keys import (
    as_variable,
    keys_in_use,
    plugins_by_secret,
    spellings,
    unread_keys,
)
from dag_factory.secrets.values import secret_object, secret_variables
from dag_factory.settings import Settings


@dataclass(frozen=True)
class SecretNeed:
    """A secret that tasks read, or that Kubernetes hands to their pods.

    Attributes:
        name: As in AWS Secrets Manager.
        plugin: Whose settings are its keys; `None` where its keys are variables.
        jobs: Those whose tasks read it.
        groups: The names of which one must exist: of a plugin that inherits, there are several.
        is_own: Whether a task runs its plugin, and not only one that inherits from it.
        from_aws: Whether a task reads it there; else an operator writes the Secret of Kubernetes.
        in_use: The keys that something reads, as `keys_in_use` has them.
    """

    name: str
    plugin: Plugin | None
    jobs: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    is_own: bool
    from_aws: bool
    in_use: frozenset[str] | None = None

    @property
    def short_name(self) -> str:
        """What ends its name: that of the plugin, or what the option `secrets` names."""
        return self.name.partition("/meltano/")[2]

    @property
    def others(self) -> tuple[str, ...]:
        """The names of the secrets that may hold some of its settings as well."""
        return tuple(each for group in self.groups for each in group if each != self.name)

    @property
    def sensitive(self) -> tuple[Setting, ...]:
        """The settings for which it is there."""
        return tuple(each for each in self.settings if each.sensitive)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Those that its plugin has."""
        return self.plugin.settings if self.plugin else ()


class State(StrEnum):
    """How a secret is."""

    EXISTS = "exists"
    UNREAD = "exists, but may not be read"
    LACKS = "lacks settings"
    EMPTY = "empty"
    INHERITED = "not there, nor needed"
    MISSING = "missing"
    MALFORMED = "malformed"
    DENIED = "denied"
    UNREADABLE = "unreadable"
    OF_KUBERNETES = "of Kubernetes"
    UNKNOWN = "unknown"

    @property
    def is_wrong(self) -> bool:
        """Whether a task that needs it does not start."""
        return self in (State.MISSING, State.MALFORMED, State.DENIED, State.UNREADABLE)


@dataclass(frozen=True)
class SecretReport:
    """How a needed secret is.

    Attributes:
        need: The secret.
        state: How it is.
        hint: What is wrong, and what to do; empty where nothing is.
        keys: What it has, as it is written there.
        lacking: The sensitive settings that neither it nor another that the tasks read has.
        since: When it got what it holds; `None` where AWS does not tell.
    """

    need: SecretNeed
    state: State
    hint: str = ""
    keys: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    since: datetime | None = None

    @property
    def held(self) -> tuple[Setting, ...]:
        """The plugin's settings that it has."""
        known = {*map(as_variable, self.keys)}
        return tuple(each for each in self.need.settings if known & spellings(each))

    @property
    def other_keys(self) -> tuple[str, ...]:
        """Its keys that are no settings of the plugin."""
        known = {each for setting in self.need.settings for each in spellings(setting)}
        return tuple(each for each in self.keys if as_variable(each) not in known)

    @property
    def unread_keys(self) -> dict[str, str]:
        """Its keys that nothing reads, each with what to do about it."""
        plugin = self.need.plugin
        return unread_keys(plugin, self.need.in_use, self.keys) if plugin else {}


def read_needs(settings: Settings) -> tuple[tuple[SecretNeed, ...], tuple[Problem, ...]]:
    """Return the secrets that the jobs of an environment need, and what is wrong with the jobs."""
    # No secret depends on the image of pods, which only a deployment knows.
    plans, state, problems = read_all_plans(
        replace(settings, image=settings.image or EXAMPLE_IMAGE)
    )
    project, _ = read_project(settings.project_root)
    plugins = plugins_by_secret(project)
    jobs: dict[str, dict[str, None]] = {}
    groups: dict[str, dict[tuple[str, ...], None]] = {}
    of_plugin: set[str] = set()
    from_aws: set[str] = set()
    for plan in (*plans, *filter(None, [state])):
        for task in plan.tasks:
            for secret in task.secrets:
                for name in secret.names:
                    jobs.setdefault(name, {})[plan.job] = None
                    groups.setdefault(name, {})[secret.names] = None
                of_plugin |= {*secret.names} if secret.of_plugin else set()
                from_aws |= set() if task.options.given_secrets else {*secret.names}
    needs = []
    for name in sorted(jobs):
        plugin = plugins.get(name.rpartition("/")[2]) if name in of_plugin else None
        need = SecretNeed(
            name=name,
            plugin=plugin,
            jobs=tuple(jobs[name]),
            groups=tuple(groups[name]),
            is_own=any(group[0] == name for group in groups[name]),
            from_aws=name in from_aws,
            in_use=keys_in_use(project, plugin) if project and plugin else None,
        )
        needs.append(need)
    return tuple(needs), problems


def report_secrets(
    needs: Iterable[SecretNeed], fetched: Fetched, since: Mapping[str, datetime | None]
) -> Iterator[SecretReport]:
    """Yield how each needed secret is.

    Args:
        needs: The secrets.
        fetched: What AWS answered to their names.
        since: When they got what they hold; `None` of one that there is not.
    """
    for need in needs:
        if not need.from_aws:
            yield SecretReport(need, State.OF_KUBERNETES)
        elif need.name in fetched.texts:
            yield _of_text(need, fetched, since.get(need.name))
        else:
            yield _without_text(need, fetched, since)


def _of_text(need: SecretNeed, fetched: Fetched, since: datetime | None) -> SecretReport:
    try:
        filled = _filled(need.name, fetched, of_plugin=need.plugin is not None)
    except ValueError as error:
        return SecretReport(need, State.MALFORMED, f"it {error}", since=since)
    keys = tuple(secret_object(fetched.texts[need.name]))
    for other in need.others:
        try:
            filled |= _filled(other, fetched, of_plugin=True)
        except ValueError:
            continue
    lacking = tuple(each.name for each in need.sensitive if not filled & spellings(each))
    state = State.LACKS if lacking else State.EXISTS
    return SecretReport(need, state if keys else State.EMPTY, "", keys, lacking, since)


def _filled(name: str, fetched: Fetched, *, of_plugin: bool) -> set[str]:
    """Return the keys of a secret that have a value, as variables spell them.

    Raises:
        ValueError: What is wrong with it.
    """
    if name not in fetched.texts:
        return set()
    text = fetched.texts[name]
    secret_variables(name, text, of_plugin=of_plugin)
    return {as_variable(key) for key, value in secret_object(text).items() if value != ""}


def _without_text(
    need: SecretNeed, fetched: Fetched, since: Mapping[str, datetime | None]
) -> SecretReport:
    fault = fetched.faults.get(need.name)
    current = since.get(need.name)
    if fault is not None and fault.is_denied and current:
        return SecretReport(need, State.UNREAD, since=current)
    if fault is not None and fault.is_denied and need.name not in since:
        right = "kms:Decrypt on its key" if fault.of_key else "secretsmanager:GetSecretValue on it"
        return SecretReport(need, State.DENIED, f"allow {right}")
    if fault is not None and not (fault.is_denied or fault.is_missing):
        return SecretReport(need, State.UNREADABLE, f"{fault.code}: {fault.hint}")
    if all(
        any(each in fetched.texts or since.get(each) for each in group) for group in need.groups
    ):
        return SecretReport(need, State.INHERITED, f"{' or '.join(need.others)} is enough")
    return SecretReport(need, State.MISSING, "create it with `meltano-dags secrets push`")
