"""Plans the tasks of a job: one per item of its `tasks`, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, count

from dag_factory.checks.ineffective_options import (
    check_lasting_containers,
    check_row_keys,
    check_secrets_prefix,
    check_shared_database,
)
from dag_factory.errors import Code, Location, Problems, guess
from dag_factory.options.catalog import TaskOptions
from dag_factory.options.pod_values import (
    EXAMPLE_IMAGE,
    LOWER_REQUEST_HINT,
    above_limits,
    image_version,
    is_pinned,
)
from dag_factory.planning.plan import ExtractorPlan, TaskKind, TaskPlan, legal_id
from dag_factory.planning.secret_names import SecretNames
from dag_factory.project.digests import task_digest
from dag_factory.project.model import Environment, Job, Project, Schedule
from dag_factory.project.option_precedence import OptionLevels, Sources
from dag_factory.project.plugins import Plugin, env_var
from dag_factory.project.task_grammar import Blocks, pairs
from dag_factory.settings import Settings

_SUCH_AS = f"such as {EXAMPLE_IMAGE}"
_WINDOW = ("start_date", "end_date")


class TaskPlanner:
    """Plans the tasks of one environment's jobs.

    Attributes:
        plugins: The plugins of each task, by the name of its job and its task ID.
        unrunnable: The names of the jobs that no pod can run.
    """

    def __init__(
        self,
        project: Project,
        environment: Environment,
        levels: OptionLevels,
        settings: Settings,
        problems: Problems,
    ) -> None:
        self._project = project
        self._environment = environment
        self._levels = levels
        self._settings = settings
        self._secrets = SecretNames(project, environment, settings)
        self._problems = problems
        self._states: dict[str, tuple[str, Location]] = {}
        self._undefined: set[str] = set()
        self.plugins: dict[tuple[str, str], tuple[Plugin, ...]] = {}
        self.unrunnable: set[str] = set()

    def of_job(self, job: Job, sequences: Iterable[Blocks]) -> tuple[TaskPlan, ...]:
        """Plan the tasks of a job."""
        tasks: list[TaskPlan] = []
        exclusive: list[frozenset[str]] = []
        used: set[str] = set()
        for blocks in sequences:
            name = "-to-".join(each.text for each in blocks).replace(":", ".")
            names = chain([name], (f"{name}.{number}" for number in count(2)))
            task_id = next(each for each in map(legal_id, names) if each not in used)
            used.add(task_id)
            states = tuple(dict.fromkeys(self._state_ids(job.name, blocks)))
            plugins = tuple(each.plugin for each in blocks)
            words = tuple(each.text for each in blocks)
            task = self._task(
                job,
                task_id,
                kind=TaskKind.RUN,
                blocks=words,
                state_ids=states,
                plugins=plugins,
            )
            tasks.append(task)
            loaders = (each for each in plugins if each.options.values.get("exclusive"))
            exclusive.append(frozenset(each.name for each in loaders))
        if self._levels.of_dag(job).order == "parallel":
            upstream = _side_by_side(tasks, exclusive)
        else:
            upstream = iter([(), *((each.task_id,) for each in tasks[:-1])])
        return tuple(replace(each, upstream=next(upstream)) for each in tasks)

    def of_elt_schedule(self, schedule: Schedule, plugins: tuple[Plugin, ...]) -> TaskPlan:
        """Plan the task of a schedule that has an extractor and a loader."""
        task_id = legal_id("-to-".join(plugin.name for plugin in plugins))
        extractor, loader, *arguments = schedule.elt_args
        task = self._task(
            schedule,
            task_id,
            kind=TaskKind.ELT,
            blocks=(extractor, loader),
            state_ids=(schedule.name,),
            plugins=plugins,
        )
        return replace(
            task,
            arguments=tuple(arguments),
            assets=(),  # Its state ID is its name, which is the name of the DAG's own asset.
        )

    def _task(
        self,
        source: Job | Schedule,
        task_id: str,
        *,
        kind: TaskKind,
        blocks: tuple[str, ...],
        state_ids: tuple[str, ...],
        plugins: tuple[Plugin, ...],
    ) -> TaskPlan:
        self.plugins[source.name, task_id] = plugins
        extractors = (each for each in plugins if each.type == "extractors")
        options = self._options(source, task_id, plugins)
        prefix = self._settings.dag_id_prefix
        digest = task_digest(self._project, self._environment, plugins)
        return TaskPlan(
            task_id=task_id,
            kind=kind,
            blocks=blocks,
            state_ids=state_ids,
            assets=tuple(f"{prefix}{each}" for each in state_ids),
            extractors=tuple(dict.fromkeys(map(_extractor, extractors))),
            sensitive=self._sensitive(plugins),
            secrets=self._secrets.of_task(plugins, options.secrets.names),
            digest=digest if self._settings.compares_image else "",
            options=options,
        )

    def _options(
        self, source: Job | Schedule, task_id: str, plugins: tuple[Plugin, ...]
    ) -> TaskOptions:
        """Return the options of a task; report what its rows and its pod need and do not have."""
        options = self._levels.of_task(source, task_id, plugins)
        if options.retries:
            check_row_keys(plugins, self._environment, self._problems)
        if not options.in_pod:
            return options
        places = self._levels.task_sources(source, task_id, plugins)
        [runner] = places["runner"]
        check_shared_database(self._project, self._environment, options, runner, self._problems)
        check_lasting_containers(options, places, self._problems)
        check_secrets_prefix(options, self._settings.secrets_prefix, places, self._problems)
        for name in above_limits(options.resources):
            *_, place = places[f"resources.requests.{name}"]
            message = self._above(source, options, name, places)
            self._problems.add(Code.INVALID_OPTION, place, message, LOWER_REQUEST_HINT)
            self.unrunnable.add(source.name)
        image = self._settings.image or options.image
        if image and is_pinned(image):
            return replace(options, image=image)
        [place] = (runner,) if self._settings.image or not image else places["image"]
        self._problems.add(Code.UNPINNED_IMAGE, place, *self._unpinned(image))
        self.unrunnable.add(source.name)
        return options

    def _above(
        self, source: Job | Schedule, options: TaskOptions, name: str, places: Sources
    ) -> str:
        """Return the message for a request above a limit, which is set elsewhere."""
        *_, place = places[f"resources.limits.{name}"]
        at = place.text(self._project.root)
        request, limit = (options.resources[kind][name] for kind in ("requests", "limits"))
        message = f"resources: `requests: {name}: {request}` is above the limit {limit} ({at})"
        return f"job {source.name!r}: {message}"

    def _unpinned(self, image: str | None) -> tuple[str, str]:
        """Return the message and the hint for an image that is missing or not pinned."""
        if image is None:
            message = f"the pods of {self._environment.name!r} have no image"
            return message, f"set MELTANO_IMAGE, or the option `image`, to a version {_SUCH_AS}"
        origin = " of MELTANO_IMAGE" if self._settings.image else ""
        moves = "`latest` moves" if image_version(image) else "no tag means `latest`"
        message = f"the image {image!r}{origin} is not pinned: {moves}, so two attempts can differ"
        return message, f"add the tag or the digest of a release, {_SUCH_AS}"

    def _state_ids(self, job: str, blocks: Blocks) -> Iterator[str]:
        for extractor, loader in pairs(blocks):
            pair = f"{extractor.plugin.name}-to-{loader.plugin.name}"
            suffix = self._environment.state_id_suffix
            state_id = ":".join(filter(None, [self._environment.name, pair, suffix]))
            other, place = self._states.setdefault(state_id, (job, extractor.location))
            if other != job:
                at = place.text(self._project.root)
                shared = f"the state ID {state_id!r} and its lock"
                message = f"job {job!r} shares {shared} with {other!r} ({at})"
                hint = "give it an extractor of its own, with `inherit_from`"
                self._problems.add(Code.SHARED_STATE, extractor.location, message, hint)
            yield state_id

    def _sensitive(self, plugins: Iterable[Plugin]) -> tuple[str, ...]:
        found = []
        for plugin in plugins:
            if plugin.commands is None and plugin.name not in self._undefined:
                self._undefined.add(plugin.name)
                self._problems.add(Code.NO_DEFINITION, *self._undefined_plugin(plugin))
            settings = [setting.name for setting in plugin.settings if setting.sensitive]
            found += [env_var(name, each) for each in settings for name in plugin.lineage]
        return tuple(dict.fromkeys(found))

    def _undefined_plugin(self, plugin: Plugin) -> tuple[Location, str, str]:
        """Return the place, message and hint for a plugin that the project does not define."""
        if plugin.broken_lock:
            file = plugin.broken_lock.relative_to(self._project.root)
            message = f"{file}, the lock file of the plugin {plugin.name!r}, must be a JSON object"
            return plugin.location, message, "write it again with `meltano lock --update`"
        parent = plugin.entry.get("inherit_from")
        known = [each.name for each in self._project.plugins if each.type == plugin.type]
        known.remove(plugin.name)
        hint = "write its lock file with `meltano lock`; without it Meltano asks its Hub each time"
        if not isinstance(parent, str) or parent in ("", *known):
            message = f"the project has no definition of the plugin {plugin.name!r}"
            return plugin.location, message, hint
        message = f"{plugin.name!r} inherits from {parent!r}, which the project does not define"
        return plugin.entry.at("inherit_from"), message, guess(parent, known, hint)


def _extractor(plugin: Plugin) -> ExtractorPlan:
    """Return the variables by which a run may configure an extractor.

    The variable of an extra such as `select_filter` has two underscores:
    https://docs.meltano.com/concepts/plugins#select_filter-extra
    """
    settings = {name: each for each in plugin.settings for name in (each.name, *each.aliases)}
    variables = {name: settings[name].env_vars[0] for name in _WINDOW if name in settings}
    return ExtractorPlan(
        name=plugin.name,
        select_filter=env_var(plugin.name, "_select_filter"),
        start=variables.get("start_date"),
        end=variables.get("end_date"),
    )


def _side_by_side(
    tasks: list[TaskPlan], exclusive: list[frozenset[str]]
) -> Iterator[tuple[str, ...]]:
    """Yield the tasks that each task must wait for, as it cannot run at the same time as they do.

    A task without state IDs, such as a command of a transformer, waits for all tasks before it, and
    all tasks after it wait for it. A task that is waited for through another one is left out.
    """
    before: list[set[int]] = []
    for number, task in enumerate(tasks):
        waits: set[int] = set()
        reached: set[int] = set()
        for earlier in reversed(range(number)):
            other = tasks[earlier]
            apart = task.state_ids and other.state_ids
            shared = set(task.state_ids) & set(other.state_ids)
            if earlier not in reached and (
                not apart or shared or exclusive[number] & exclusive[earlier]
            ):
                waits.add(earlier)
                reached |= before[earlier] | {earlier}
        before.append(reached)
        yield tuple(tasks[each].task_id for each in sorted(waits))
