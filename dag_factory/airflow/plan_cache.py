"""Plans on disk: the last ones, to save reading an unchanged project, and the last good ones.

Where `DAG_FACTORY_STATE_DIR` is a folder that Airflow's DAG processor and workers share, the DAGs
of a meltano.yml that has become unreadable stay, and their tasks find them. Files are named after
the environment; they hold what the plans hold, so no secret that does not stand in the project.
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
from dag_factory.meltano_yaml.includes import NO_PATTERN, include_patterns
from dag_factory.planning.plan import DagPlan, legal_id
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What was made of a project, beside the digest of what it was made from.

    Attributes:
        code: The digest of this package, the version of Meltano, the image of pods and the prefix
            of secrets: with others the plan may be another.
        include_paths: The patterns in meltano.yml, which say what else was read.
        files: The digest of everything that was read.
        plans: One for each job.
        problems: Their places are relative to the project.
        state: That of the DAG that looks after the project's state.
    """

    code: str
    include_paths: tuple[str, ...]
    files: str
    plans: tuple[DagPlan, ...]
    problems: tuple[Problem, ...]
    state: DagPlan | None = None


@dataclass(frozen=True)
class Recalled:
    """What a deployment runs now.

    Attributes:
        plans: One for each job.
        state: That of the DAG that looks after the project's state.
        problems: Those of the project as it is now.
        from_last_good: Whether the plans are of an earlier project, because Meltano would refuse
            the present one.
    """

    plans: tuple[DagPlan, ...]
    state: DagPlan | None
    problems: tuple[Problem, ...]
    from_last_good: bool = False


def recall_plans(settings: Settings, *, keep: bool) -> Recalled:
    """Plan a deployment's project as `read_and_plan` does, with what is known from before.

    Args:
        settings: Those of the deployment; without a `state_dir` this is `read_and_plan`.
        keep: Whether to write down what is new. The DAG processor does; a worker may see an older
            version of the project.
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
    """Return a name for what one loader file of Airflow makes of a project.

    A new image makes no new name: the last good plan outlives a release, with the image it had.
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
    """Yield everything that is read of a project: the project files, and the lock files."""
    yield root / "meltano.yml"
    for pattern in (*include_paths, "plugins/*/*.lock"):
        with suppress(*NO_PATTERN):
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
    """Return what made a plan, beside the project."""
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
    """Return what a file holds; a file that is absent or of another version holds nothing."""
    try:
        return msgspec.json.decode(
            file.read_bytes(), type=Snapshot, dec_hook=lambda kind, value: kind(value)
        )
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            _log.warning("DAG_FACTORY_STATE_DIR: the plan cannot be read: %s", error)
    except (msgspec.MsgspecError, RecursionError):
        _log.warning("DAG_FACTORY_STATE_DIR: %s is not of this version, or spoilt", file)
    return None


def _write(file: Path, snapshot: Snapshot) -> None:
    """Write a file whole or not at all; a folder that cannot be written to is no error."""
    unfinished = file.with_name(f"{file.name}.{uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(msgspec.json.encode(snapshot, enc_hook=str))
        unfinished.replace(file)
    except OSError as error:
        _log.warning("DAG_FACTORY_STATE_DIR: the plan cannot be kept: %s", error)
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
