"""The tasks of a job: one per item of its `tasks`, and what runs before what."""

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
from dag_factory.errors import Code, Location, Problem, Problems, guess
from dag_factory.options.catalog import TaskOptions
from dag_factory.options.pod_values import (
    EXAMPLE_IMAGE,
    LOWER_REQUEST_HINT,
    above_limits,
    image_version,
    is_pinned,
)
from dag_factory.planning.plan import ExtractorPlan, TaskPlan, legal_id
from dag_factory.planning.secret_names import SecretNames
from dag_factory.project.digests import task_digest
from dag_factory.project.model import Environment, Job, Project, Schedule
from dag_factory.project.option_precedence import OptionLevels, Sources
from dag_factory.project.plugins import Plugin, env_var
from dag_factory.project.task_grammar import Blocks, pairs
from dag_factory.settings import Settings

_RUN = ("meltano", "run", "--no-install")
_ELT = ("meltano", "elt", "--no-install")
_SUCH_AS = f"such as {EXAMPLE_IMAGE}"
_WINDOW = ("start_date", "end_date")


class TaskPlanner:
    """Plans the tasks of one environment's jobs.

    Attributes:
        problems: What was found to be wrong with them.
        plugins: Those of each task, by the name of its job and its id.
        unrunnable: The names of the jobs that no pod can run.
    """

    def __init__(
        self, project: Project, environment: Environment, levels: OptionLevels, settings: Settings
    ) -> None:
        self._project = project
        self._environment = environment
        self._levels = levels
        self._settings = settings
        self._secrets = SecretNames(project, environment, settings)
        self.problems: list[Problem] = []
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
            argv = (*_RUN, *(each.text for each in blocks))
            plugins = tuple(each.plugin for each in blocks)
            tasks.append(self._task(job, task_id, argv, states, plugins))
            loaders = (each for each in plugins if each.options.values.get("exclusive"))
            exclusive.append(frozenset(each.name for each in loaders))
        if self._levels.of_dag(job).order == "parallel":
            upstream = _side_by_side(tasks, exclusive)
        else:
            upstream = iter([(), *((each.task_id,) for each in tasks[:-1])])
        return tuple(replace(each, upstream=next(upstream)) for each in tasks)

    def of_older_schedule(self, schedule: Schedule, plugins: tuple[Plugin, ...]) -> TaskPlan:
        """Plan the task of a schedule that has an extractor and a loader."""
        task_id = legal_id("-to-".join(plugin.name for plugin in plugins))
        argv = (*_ELT, *schedule.elt_args)
        task = self._task(schedule, task_id, argv, (schedule.name,), plugins)
        # Its state ID is its name, which is the name of the DAG's own asset.
        return replace(task, assets=())

    def _task(
        self,
        source: Job | Schedule,
        task_id: str,
        argv: tuple[str, ...],
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
            argv=argv,
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
        """Return the options of a task; report what its rows and its pod lack."""
        options = self._levels.of_task(source, task_id, plugins)
        warnings = Problems()
        if options.retries:
            check_row_keys(plugins, self._environment, warnings)
        if not options.in_pod:
            self.problems += warnings
            return options
        places = self._levels.task_sources(source, task_id, plugins)
        [runner] = places["runner"]
        check_shared_database(self._project, self._environment, options, runner, warnings)
        check_lasting_containers(options, places, warnings)
        check_secrets_prefix(options, self._settings.secrets_prefix, places, warnings)
        self.problems += warnings
        for name in above_limits(options.resources):
            *_, place = places[f"resources.requests.{name}"]
            self._report(Code.INVALID_OPTION, place, *self._above(source, options, name, places))
            self.unrunnable.add(source.name)
        image = self._settings.image or options.image
        if image and is_pinned(image):
            return replace(options, image=image)
        [place] = (runner,) if self._settings.image or not image else places["image"]
        self._report(Code.UNPINNED_IMAGE, place, *self._unpinned(image))
        self.unrunnable.add(source.name)
        return options

    def _above(
        self, source: Job | Schedule, options: TaskOptions, name: str, places: Sources
    ) -> tuple[str, str]:
        """Return what is requested beyond a limit that stands elsewhere, and what to do."""
        *_, place = places[f"resources.limits.{name}"]
        at = place.text(self._project.root)
        request, limit = (options.resources[kind][name] for kind in ("requests", "limits"))
        message = f"resources: `requests: {name}: {request}` is above the limit {limit} ({at})"
        return f"job {source.name!r}: {message}", LOWER_REQUEST_HINT

    def _unpinned(self, image: str | None) -> tuple[str, str]:
        """Return what is wrong with the image of pods, and what to do."""
        if image is None:
            message = f"pods of {self._environment.name!r} have no image"
            return message, f"set MELTANO_IMAGE, or the option `image`, to a version {_SUCH_AS}"
        origin = " of MELTANO_IMAGE" if self._settings.image else ""
        moves = "`latest` moves" if image_version(image) else "without a tag it is `latest`"
        message = (
            f"the image {image!r}{origin} is no version: {moves}, so that two tries can differ"
        )
        return message, f"give it the tag, or the digest, of a release, {_SUCH_AS}"

    def _state_ids(self, job: str, blocks: Blocks) -> Iterator[str]:
        for extractor, loader in pairs(blocks):
            pair = f"{extractor.plugin.name}-to-{loader.plugin.name}"
            suffix = self._environment.state_id_suffix
            state_id = ":".join(filter(None, [self._environment.name, pair, suffix]))
            other, place = self._states.setdefault(state_id, (job, extractor.location))
            if other != job:
                at = place.text(self._project.root)
                message = (
                    f"job {job!r} shares the state and lock {state_id!r} with {other!r} ({at})"
                )
                hint = "give it an extractor of its own, with inherit_from"
                self._report(Code.SHARED_STATE, extractor.location, message, hint)
            yield state_id

    def _sensitive(self, plugins: Iterable[Plugin]) -> tuple[str, ...]:
        found = []
        for plugin in plugins:
            if plugin.commands is None and plugin.name not in self._undefined:
                self._undefined.add(plugin.name)
                self._report(Code.NO_DEFINITION, *self._undefined_plugin(plugin))
            settings = [setting.name for setting in plugin.settings if setting.sensitive]
            found += [env_var(name, each) for each in settings for name in plugin.lineage]
        return tuple(dict.fromkeys(found))

    def _report(self, code: Code, location: Location, message: str, hint: str) -> None:
        self.problems.append(Problem(code, location, message, hint))

    def _undefined_plugin(self, plugin: Plugin) -> tuple[Location, str, str]:
        """Return where, what and what to do of a plugin that the project does not define."""
        if plugin.broken_lock:
            file = plugin.broken_lock.relative_to(self._project.root)
            message = f"the lock file {file} of the plugin {plugin.name!r} is no JSON object"
            return plugin.location, message, "write it anew with `meltano lock --update`"
        parent = plugin.entry.get("inherit_from")
        known = [each.name for each in self._project.plugins if each.type == plugin.type]
        known.remove(plugin.name)
        hint = "write its lock file with `meltano lock`, or Meltano asks its Hub each time"
        if not isinstance(parent, str) or parent in ("", *known):
            message = f"no definition of the plugin {plugin.name!r} is in the project"
            return plugin.location, message, hint
        message = f"{plugin.name!r} inherits from {parent!r}, which the project does not define"
        return plugin.entry.at("inherit_from"), message, guess(parent, known, hint)


def _extractor(plugin: Plugin) -> ExtractorPlan:
    """Return what a run may set of an extractor.

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
    """Yield what each task must wait for: those before it that it cannot run beside.

    A task without state IDs, such as a command of a transformer, waits for all before it, and all
    after it wait for it. What a task waits for through another is left out.
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
