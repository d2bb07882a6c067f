"""What a run of Meltano writes beside its rows: for its user alone, and gone when it is over."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_PRIVATE = 0o700
_log = logging.getLogger(__name__)


@contextmanager
def private_files(root: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Hide what a run writes while it lasts, and remove it then, however the run ended.

    Meltano writes the configuration of plugins, with their secrets, to `.meltano/run`, where a run
    that is killed leaves it. What plugins say, it also writes, as it stands, to a log of its own
    below `XDG_STATE_HOME`; Airflow's log has it all. Source: Meltano 4.4's ProjectDirsService.

    Args:
        root: The folder that holds `meltano.yml`.
        environ: The variables of the run; `MELTANO_RUN_ID` tells which files are its own.

    Yields:
        The variables with which Meltano is to be started.
    """
    folder = Path(environ.get("MELTANO_SYS_DIR_ROOT") or root / ".meltano", "run")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        folder.chmod(_PRIVATE)
    except PermissionError:
        _log.warning("Others may read secrets in %s: it belongs to another user", folder)
    with TemporaryDirectory(prefix="meltano-", ignore_cleanup_errors=True) as logs:
        try:
            yield {**environ, "XDG_STATE_HOME": logs}
        finally:
            if run_id := environ.get("MELTANO_RUN_ID"):
                for written in folder.glob(f"elt/*/{run_id}"):
                    shutil.rmtree(written, ignore_errors=True)
