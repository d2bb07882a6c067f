"""Keeps plans on disk: the last ones, and the last good ones.

The last plans save reading an unchanged project. The last good plans keep the DAGs of a project
whose meltano.yml has become unreadable, if `DAG_FACTORY_STATE_DIR` is a folder that the DAG
processor and the workers share. The DAG processor writes the files; workers only read them.

The files are named after the environment. They contain what the plans contain, so no secret unless
it is written in the project.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import uuid4

import msgspec

from dag_factory.errors import Problem, Severity
from dag_factory.meltano_yaml.includes import PATTERN_ERRORS, include_patterns
from dag_factory.planning.plan import DagPlan, legal_id
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The plans of a project, with digests of everything that they depend on.

    Attributes:
        code: The digest of this package, the version of Meltano, the image of pods and the prefix
            of secrets. If one of them changes, the plans may change.
        include_paths: The patterns in meltano.yml that name the other project files.
        files: The digest of all files that were read.
        plans: One plan for each job.
        problems: The problems of the project. Their files are relative to the project.
        state: The plan of the DAG that manages the project's state.
    """

    code: str
    include_paths: tuple[str, ...]
    files: str
    plans: tuple[DagPlan, ...]
    problems: tuple[Problem, ...]
    state: DagPlan | None = None


@dataclass(frozen=True)
class Recalled:
    """The plans that a deployment runs now.

    Attributes:
        plans: One plan for each job.
        state: The plan of the DAG that manages the project's state.
        problems: The problems of the project as it is now.
        from_last_good: Whether the plans are from an earlier version of the project, because
            Meltano would reject the present one.
    """

    plans: tuple[DagPlan, ...]
    state: DagPlan | None
    problems: tuple[Problem, ...]
    from_last_good: bool = False


def recall_plans(settings: Settings, *, keep: bool) -> Recalled:
    """Plan a deployment's project as `read_and_plan` does, but use the plans kept on disk.

    Args:
        settings: The settings of the deployment; without a `state_dir` this is `read_and_plan`.
        keep: Whether to write new plans to disk. The DAG processor does; a worker must not, since
            it may see an older version of the project.
    """
    if settings.state_dir is None:
        planned = read_and_plan(settings)
        return Recalled(planned.plans, planned.state_plan, planned.problems)
    name = _file_name(settings)
    last, good = (settings.state_dir / f"{name}.{kind}.json" for kind in ("last", "good"))
    snapshot = _read(last)
    if snapshot is None or not _is_current(snapshot, settings):
        snapshot = _take(settings)
        if keep and _is_current(snapshot, settings):
            _write(last, snapshot)
    is_good = all(each.severity is not Severity.PROJECT for each in snapshot.problems)
    if is_good and keep and _read(good) != snapshot:
        _write(good, snapshot)
    last_good = None if is_good else _read(good)
    used = last_good or snapshot
    problems = _moved(snapshot.problems, settings.project_root)
    return Recalled(used.plans, used.state, problems, from_last_good=last_good is not None)


def _file_name(settings: Settings) -> str:
    """Return the name of the files for one DAG file's plans.

    The name does not depend on the image: the last good plan outlives a release, with its image.
    """
    name = legal_id(settings.environment) if settings.environment else "_default"
    others = replace(
        settings,
        project_root=Path(),
        environment=None,
        state_dir=None,
        image=None,
        compares_image=True,
        secrets_prefix=None,
    )
    if others == Settings(Path()):
        return name
    return f"{name}.{hashlib.sha256(repr(others).encode()).hexdigest()[:8]}"


def _take(settings: Settings) -> Snapshot:
    root = settings.project_root
    include_paths = include_patterns(root)
    files = _digest(root, _project_files(root, include_paths))
    planned = read_and_plan(settings)
    relative = (
        replace(each, location=replace(each.location, file=_relative(each.location.file, root)))
        for each in planned.problems
    )
    return Snapshot(
        _made_by(settings), include_paths, files, planned.plans, tuple(relative), planned.state_plan
    )


def _is_current(snapshot: Snapshot, settings: Settings) -> bool:
    root = settings.project_root
    if snapshot.code != _made_by(settings):
        return False
    return snapshot.files == _digest(root, _project_files(root, snapshot.include_paths))


def _project_files(root: Path, include_paths: Iterable[str]) -> Iterator[Path]:
    """Yield every file that is read of a project: the project files and the lock files."""
    yield root / "meltano.yml"
    for pattern in (*include_paths, "plugins/*/*.lock"):
        with suppress(*PATTERN_ERRORS):
            yield from sorted(root.glob(pattern))


def _digest(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            content = type(error).__name__
        digest.update(os.fsencode(f"{_relative(file, root)}\0{content}\0"))
    return digest.hexdigest()


def _made_by(settings: Settings) -> str:
    """Return what a plan depends on besides the project's files."""
    others = (settings.image, settings.compares_image, settings.secrets_prefix)
    return " ".join(map(str, (_code_digest(), *others)))


@cache
def _code_digest() -> str:
    package = Path(__file__).parents[1]
    try:
        meltano = version("meltano")
    except PackageNotFoundError:
        meltano = "none"
    return f"{_digest(package, sorted(package.rglob('*.py')))} {meltano}"


def _relative(file: Path, root: Path) -> Path:
    return file.relative_to(root) if file.is_relative_to(root) else file


def _moved(problems: Iterable[Problem], root: Path) -> tuple[Problem, ...]:
    return tuple(
        replace(each, location=replace(each.location, file=root / each.location.file))
        for each in problems
    )


def _read(file: Path) -> Snapshot | None:
    """Return the snapshot in a file, or `None` for a missing file or one of another version."""
    try:
        return msgspec.json.decode(
            file.read_bytes(), type=Snapshot, dec_hook=lambda kind, value: kind(value)
        )
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            _log.warning("DAG_FACTORY_STATE_DIR: cannot read the plan: %s", error)
    except (msgspec.MsgspecError, RecursionError):
        _log.warning(
            "DAG_FACTORY_STATE_DIR: the plan in %s is not used: another version of "
            "meltano-dag-factory wrote it, or it is damaged; a good plan replaces it",
            file,
        )
    return None


def _write(file: Path, snapshot: Snapshot) -> None:
    """Write a file completely or not at all; a folder without write access is not an error."""
    unfinished = file.with_name(f"{file.name}.{uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(msgspec.json.encode(snapshot, enc_hook=str))
        unfinished.replace(file)
    except OSError as error:
        _log.warning("DAG_FACTORY_STATE_DIR: cannot write the plan: %s", error)
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
