"""Releases the lock of a killed Meltano run: `python -m dag_factory.pod.release_lock STATE_ID`.

While a run lasts, Meltano marks it as running in its system database, updates its heartbeat every
second, and does not let another run use the state ID. A killed run stays marked as running, and
Meltano ignores the mark only when the last heartbeat is five minutes old.

This file also runs without the rest of this package, with the Python that has Meltano:
`python release_lock.py STATE_ID`. It uses the project and the system database that `meltano run`
would use in the same folder with the same environment variables.

Source: meltano/core/job/job.py, and `run_with_job` in meltano/core/block/extract_load.py.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meltano.core.job.job import Job
    from sqlalchemy.orm import Session

DEAD_SECONDS = 30
"""A run is dead if its last heartbeat is at least this old. A busy machine may delay heartbeats."""
_SHEBANG = re.compile(r"#!\s*(?:\S*/env\s+)?(\S*python[\d.]*)(?:\s|$)")


class LockHeldError(Exception):
    """A living run holds the lock."""


@contextmanager
def system_database() -> Iterator[Session]:
    """Open Meltano's system database as `meltano run` does."""
    # Importing Meltano sets up its log, which is right only where this file is run as a program.
    from meltano.core.db import project_engine  # noqa: PLC0415
    from meltano.core.logging import setup_logging  # noqa: PLC0415
    from meltano.core.migration_service import MigrationService  # noqa: PLC0415
    from meltano.core.project import Project  # noqa: PLC0415

    setup_logging()
    project = Project.find()
    setup_logging(project)
    engine, sessions = project_engine(project)
    MigrationService(engine).upgrade(silent=True)
    with sessions() as session:
        yield session


def release(session: Session, state_id: str) -> str:
    """Mark the dead runs of a state ID as failed, and return what was done.

    Raises:
        LockHeldError: A run is alive or died less than `DEAD_SECONDS` ago. No run was marked.
    """
    from meltano.core.job.finder import JobFinder  # noqa: PLC0415

    runs = JobFinder(state_id).running(session).all()
    ages = [_heartbeat_age(run) for run in runs]
    if not runs:
        return f"{state_id!r} has no lock: no run of it is marked as running"
    if min(ages) < DEAD_SECONDS:
        raise LockHeldError(
            f"{state_id!r} keeps its lock: its run was alive {min(ages):.0f} s ago; stop that "
            f"run or, if it was killed, try again in {DEAD_SECONDS - min(ages):.0f} s"
        )
    trigger = os.environ.get("MELTANO_JOB_TRIGGER")
    how = f"by {trigger}" if trigger else "manually"
    for run, age in zip(runs, ages, strict=True):
        run.fail(f"No heartbeat for {age:.0f} s. The lock was released {how}.")
        run.save(session)
    run = runs[-1]
    reason = run.payload["error"]
    return (
        f"{state_id!r} is free: its run of {run.started_at:%F %T %Z} is marked as failed: {reason}"
    )


def _heartbeat_age(run: Job) -> float:
    last = run.last_heartbeat_at or run.started_at
    now = datetime.now(timezone.utc)  # noqa: UP017 - Meltano's Python may be 3.10
    return (now - last).total_seconds()


def meltano_python(executable: Path) -> str | None:
    """Return the Python that runs the `meltano` command, or `None` if it cannot be found.

    Args:
        executable: The `meltano` command.
    """
    command = executable.resolve()
    with command.open(errors="replace") as stream:
        shebang = _SHEBANG.match(stream.readline())
    # The shebang does not name a long path; then Python is next to the command.
    candidates = [shebang[1]] if shebang else []
    candidates.append(str(command.with_name("python")))
    return next(filter(None, map(shutil.which, candidates)), None)


def main() -> None:
    """Release the lock of the state ID on the command line, or exit with 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("state_id", help="the name in: Another '...' pipeline is already running")
    state_id = parser.parse_args().state_id
    try:
        with system_database() as session:
            print(release(session, state_id))
    except LockHeldError as error:
        sys.exit(f"Error: {error}")
    except Exception as error:  # noqa: BLE001 - one line for any reason why the database cannot be used
        sys.exit(f"Error: {type(error).__name__}: {error}")


if __name__ == "__main__":
    # When this file is run by its path, Meltano must not import the modules next to it.
    folder = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != folder]
    main()
