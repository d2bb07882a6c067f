"""The secrets that a project needs in its environment, and the state of each, never its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from dag_factory.errors import InvalidValueError, Problem
from dag_factory.options.pod_values import EXAMPLE_IMAGE
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.planning.secret_names import SecretName
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
    """A secret that tasks read, or that Kubernetes gives to their pods.

    Attributes:
        name: Its name in AWS Secrets Manager.
        plugin: The plugin whose settings are its keys; `None` if its keys are variables.
        jobs: The jobs whose tasks read it.
        alternatives: Groups of names; one secret of each group must exist. Where a plugin inherits,
            its group has its parents' names, too.
        is_own: Whether a task runs its plugin, rather than only one that inherits from it.
        from_aws: Whether a task reads it from AWS; otherwise an operator writes a Kubernetes
            Secret.
        in_use: The keys that something reads, as `keys_in_use` returns them.
    """

    name: SecretName
    plugin: Plugin | None
    jobs: tuple[str, ...]
    alternatives: tuple[tuple[SecretName, ...], ...]
    is_own: bool
    from_aws: bool
    in_use: frozenset[str] | None = None

    @property
    def others(self) -> tuple[SecretName, ...]:
        """The names of the other secrets that may hold some of its settings."""
        return tuple(each for group in self.alternatives for each in group if each != self.name)

    @property
    def sensitive(self) -> tuple[Setting, ...]:
        """The settings that it is for."""
        return tuple(each for each in self.settings if each.sensitive)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All settings of its plugin."""
        return self.plugin.settings if self.plugin else ()


class State(StrEnum):
    """The state of a secret, in the words of `secrets plan`; its JSON has the members' names."""

    EXISTS = "exists"
    UNREAD = "exists, but may not be read"
    LACKS = "lacks settings"
    EMPTY = "empty"
    INHERITED = "missing, but not needed"
    MISSING = "missing"
    MALFORMED = "malformed"
    DENIED = "denied"
    UNREADABLE = "unreadable"
    OF_KUBERNETES = "in Kubernetes"
    UNKNOWN = "unknown"

    @property
    def is_wrong(self) -> bool:
        """Whether a task that needs the secret does not start."""
        return self in (State.MISSING, State.MALFORMED, State.DENIED, State.UNREADABLE)


@dataclass(frozen=True)
class SecretReport:
    """A needed secret and its state.

    Attributes:
        need: The secret.
        state: Its state.
        hint: What is wrong, and what to do; empty if nothing is wrong.
        keys: Its keys, as they are written there.
        lacking: The sensitive settings for which neither it nor its alternatives have a value.
        since: When it got its current value; `None` if AWS does not tell.
    """

    need: SecretNeed
    state: State
    hint: str = ""
    keys: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    since: datetime | None = None

    @property
    def held(self) -> tuple[Setting, ...]:
        """The settings of the plugin that are among its keys."""
        known = {*map(as_variable, self.keys)}
        return tuple(each for each in self.need.settings if known & spellings(each))

    @property
    def other_keys(self) -> tuple[str, ...]:
        """Its keys that are not settings of the plugin."""
        known = {each for setting in self.need.settings for each in spellings(setting)}
        return tuple(each for each in self.keys if as_variable(each) not in known)

    @property
    def unread_keys(self) -> dict[str, str]:
        """Its keys that nothing reads, each with what to do about it."""
        plugin = self.need.plugin
        return unread_keys(plugin, self.need.in_use, self.keys) if plugin else {}


def read_needs(settings: Settings) -> tuple[tuple[SecretNeed, ...], tuple[Problem, ...]]:
    """Return the secrets that the jobs of an environment need, and the problems of the jobs."""
    # No secret depends on the image of pods, which only a deployment knows.
    planned = read_and_plan(replace(settings, image=settings.image or EXAMPLE_IMAGE))
    project = planned.project
    plugins = plugins_by_secret(project)
    jobs: dict[SecretName, dict[str, None]] = {}
    alternatives: dict[SecretName, dict[tuple[SecretName, ...], None]] = {}
    of_plugin: set[SecretName] = set()
    from_aws: set[SecretName] = set()
    for plan in (*planned.plans, *filter(None, [planned.state_plan])):
        for task in plan.tasks:
            for secret in task.secrets:
                for name in secret.names:
                    jobs.setdefault(name, {})[plan.job] = None
                    alternatives.setdefault(name, {})[secret.names] = None
                of_plugin |= {*secret.names} if secret.of_plugin else set()
                from_aws |= set() if task.options.given_secrets else {*secret.names}
    needs = []
    for name in sorted(jobs, key=str):
        plugin = plugins.get(name.short_name) if name in of_plugin else None
        need = SecretNeed(
            name=name,
            plugin=plugin,
            jobs=tuple(jobs[name]),
            alternatives=tuple(alternatives[name]),
            is_own=any(group[0] == name for group in alternatives[name]),
            from_aws=name in from_aws,
            in_use=keys_in_use(project, plugin) if project and plugin else None,
        )
        needs.append(need)
    return tuple(needs), planned.problems


def report_secrets(
    needs: Iterable[SecretNeed],
    fetched: Fetched,
    since: Mapping[SecretName, datetime | None],
) -> Iterator[SecretReport]:
    """Yield the state of each needed secret.

    Args:
        needs: The secrets.
        fetched: What AWS answered for their names.
        since: When each got its current value; `None` for one that does not exist.
    """
    for need in needs:
        if not need.from_aws:
            yield SecretReport(need, State.OF_KUBERNETES)
        elif need.name in fetched.texts:
            yield _report_content(need, fetched, since.get(need.name))
        else:
            yield _report_absence(need, fetched, since)


def _report_content(need: SecretNeed, fetched: Fetched, since: datetime | None) -> SecretReport:
    try:
        filled = _filled_keys(need.name, fetched, of_plugin=need.plugin is not None)
    except InvalidValueError as error:
        return SecretReport(need, State.MALFORMED, f"it {error.reason}", since=since)
    keys = tuple(secret_object(fetched.texts[need.name]))
    for other in need.others:
        try:
            filled |= _filled_keys(other, fetched, of_plugin=True)
        except InvalidValueError:
            continue
    lacking = tuple(each.name for each in need.sensitive if not filled & spellings(each))
    state = State.LACKS if lacking else State.EXISTS
    return SecretReport(need, state if keys else State.EMPTY, "", keys, lacking, since)


def _filled_keys(name: SecretName, fetched: Fetched, *, of_plugin: bool) -> set[str]:
    """Return the keys of a secret that have a value, as variables spell them.

    Raises:
        InvalidValueError: No task could use the secret.
    """
    if name not in fetched.texts:
        return set()
    text = fetched.texts[name]
    secret_variables(name, text, of_plugin=of_plugin)
    return {as_variable(key) for key, value in secret_object(text).items() if value != ""}


def _report_absence(
    need: SecretNeed, fetched: Fetched, since: Mapping[SecretName, datetime | None]
) -> SecretReport:
    fault = fetched.faults.get(need.name)
    current = since.get(need.name)
    if fault is not None and fault.is_denied and current:
        return SecretReport(need, State.UNREAD, since=current)
    if fault is not None and fault.is_denied and need.name not in since:
        return SecretReport(need, State.DENIED, fault.hint)
    if fault is not None and not (fault.is_denied or fault.is_missing):
        return SecretReport(need, State.UNREADABLE, f"{fault.code}: {fault.hint}")
    if all(
        any(each in fetched.texts or since.get(each) for each in group)
        for group in need.alternatives
    ):
        others = " or ".join(map(str, need.others))
        return SecretReport(need, State.INHERITED, f"{others} is enough")
    return SecretReport(need, State.MISSING, "create it with `meltano-dags secrets push`")
