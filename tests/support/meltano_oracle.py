"""What Meltano itself makes of a project: its own objects, in this process, in milliseconds.

Nothing is installed, run, sent or written. The listings are those without an environment: where one
is active, Meltano 4 loads the files twice and has what they include twice.
"""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import structlog
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool


@contextmanager
def _leaving_no_trace() -> Iterator[None]:
    """Meltano's packages set up logging and tracebacks when they are imported."""
    hook, handlers = sys.excepthook, list(logging.getLogger().handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    sys.excepthook, logging.getLogger().handlers = hook, handlers


with _leaving_no_trace():
    from meltano.cli.schedule import _format_elt_list_output, _format_job_list_output
    from meltano.core import yaml
    from meltano.core.behavior.canonical import Canonical
    from meltano.core.block import block_parser, extract_load
    from meltano.core.block.block_parser import BlockParser, validate_block_sets
    from meltano.core.block.extract_load import (
        ELBContextBuilder,
        ExtractLoadBlocks,
        generate_state_id,
    )
    from meltano.core.block.singer import SingerBlock
    from meltano.core.models import SystemModel
    from meltano.core.plugin import PluginType
    from meltano.core.project import Project
    from meltano.core.schedule import JobSchedule
    from meltano.core.schedule_service import ScheduleService
    from meltano.core.task_sets_service import TaskSetsService
    from meltano.core.utils import check_meltano_compatibility

logging.getLogger("meltano").setLevel(logging.CRITICAL + 1)
_SILENT = structlog.wrap_logger(
    None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
)
# The system database: empty, in memory, the same for all projects.
_ENGINE = create_engine("sqlite://", poolclass=StaticPool)
SystemModel.metadata.create_all(_ENGINE)
_SESSIONS = sessionmaker(bind=_ENGINE)
_GLOB = Path.glob


class RefusedError(Exception):
    """Meltano fails, for the reason in `__cause__`."""

    def __str__(self) -> str:
        return f"{type(self.__cause__).__name__}: {self.__cause__}"


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever Meltano raises into one kind of exception: it exits with 1 for each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            raise RefusedError from error


@dataclass(frozen=True)
class Run:
    """What `meltano run` would run.

    Attributes:
        blocks: All blocks in their order, as in a job's tasks.
        sets: The same, one tuple per extractor with its loader, or per command.
        state_ids: Of each extractor with its loader.
    """

    blocks: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]
    state_ids: tuple[str, ...]


class Meltano:
    """A project as Meltano loads it, for its listings or, with an environment, for `meltano run`.

    Raises:
        RefusedError: Meltano refuses every command.
    """

    def __init__(self, root: Path, environment: str | None = None) -> None:
        yaml.cache.clear()
        Canonical._parse.__func__.cache_clear()
        self.project = Project(root, readonly=True)
        # Meltano takes the files that one pattern finds as the file system lists them.
        with _refusing(), patch.object(Path, "glob", lambda *args: iter(sorted(_GLOB(*args)))):
            loaded = self.project.meltano
            check_meltano_compatibility(loaded.requires_meltano)
            self.project.settings.get("project_readonly")  # which every command does
            if environment is not None:
                self.project.activate_environment(environment)

    def jobs(self) -> list[dict[str, Any]]:
        """Return what `meltano job list --format=json` prints.

        Raises:
            RefusedError: The command fails.
        """
        with self._loaded():
            found = TaskSetsService(self.project).list_task_sets()
            return _as_json([{"job_name": each.name, "tasks": each.tasks} for each in found])

    def schedules(self) -> dict[str, list[dict[str, Any]]]:
        """Return what `meltano schedule list --format=json` prints.

        Raises:
            RefusedError: The command fails.
        """
        jobs = TaskSetsService(self.project)
        listed: dict[str, list[dict[str, Any]]] = {"job": [], "elt": []}
        with self._loaded(), _SESSIONS() as session:
            for each in ScheduleService(self.project).schedules():
                if isinstance(each, JobSchedule):
                    listed["job"].append(_format_job_list_output(each, jobs.get(each.job)))
                else:
                    listed["elt"].append(_format_elt_list_output(each, session))
            return _as_json(listed)

    def run(self, *names: str) -> Run:
        """Return what `meltano run NAME ...` would run.

        Plugins stay without their settings, so that no lock file and no virtual environment is
        needed: a plugin that cannot start is not noticed.

        Raises:
            RefusedError: The command fails before it runs a block.
        """
        with self._loaded(), ExitStack() as stack:
            # The block sets are Meltano's own, on plugins that are not prepared to be invoked.
            stack.enter_context(patch.object(ELBContextBuilder, "make_block", _singer_block))
            stack.enter_context(patch.object(block_parser, "plugin_command_invoker", _command))
            stack.enter_context(patch.object(extract_load, "project_engine", _engine))
            parser = BlockParser(_SILENT, self.project, list(names), no_state_update=True)
            sets = list(parser.find_blocks())
            if not validate_block_sets(_SILENT, sets):
                raise ValueError("Some ExtractLoadBlocks set failed validation.")
            blocks = tuple(map(str, _names(parser)))
            pairs = [each for each in sets if isinstance(each, ExtractLoadBlocks)]
            state_ids = [
                generate_state_id(self.project, None, each.head, each.tail)
                for each in pairs
                if self.project.environment
            ]
            return Run(blocks, tuple(_grouped(blocks, sets)), tuple(state_ids))

    def finds(self, plugin_type: str, name: str) -> bool:
        """Return whether the project has a plugin, as `meltano elt` looks for it."""
        with self._loaded():
            found = self.project.plugins.get_plugins_of_type(PluginType(plugin_type))
            return name in [plugin.name for plugin in found]

    @contextmanager
    def _loaded(self) -> Iterator[None]:
        with _refusing():
            yield


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _engine(_project: Project) -> tuple[Any, Any]:
    return _ENGINE, _SESSIONS


def _singer_block(builder: ELBContextBuilder, plugin: Any) -> SingerBlock:
    return SingerBlock(None, builder.project, SimpleNamespace(plugin=plugin), ())


def _command(plugin: Any, _project: Project, command: str | None) -> SimpleNamespace:
    return SimpleNamespace(string_id=plugin.name, command=command)


def _names(parser: BlockParser) -> Iterator[str]:
    for index, plugin in enumerate(parser.plugins):
        name = parser._mappings_ref.get(index, plugin.name)
        command = parser._commands.get(index)
        yield f"{name}:{command}" if command else name


def _grouped(blocks: tuple[str, ...], sets: list[Any]) -> Iterator[tuple[str, ...]]:
    start = 0
    for each in sets:
        end = start + (len(each.blocks) if isinstance(each, ExtractLoadBlocks) else 1)
        yield blocks[start:end]
        start = end
