"""What a run of Meltano writes beside its rows: for its user alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_PRIVATE = 0o700
_log = logging.getLogger(__name__)


@contextmanager
def private_files(root: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Hide the configuration of plugins while a run lasts, and forget Meltano's own log after it.

    Meltano writes the configuration, with secrets, to `.meltano/run`, and removes it at its end,
    unless it is killed. What plugins say, it also writes, as it stands, to a log below
    `XDG_STATE_HOME`; Airflow's log has it all. Source: Meltano 4.4's ProjectDirsService.

    Args:
        root: The folder that holds `meltano.yml`.
        environ: The variables of the run.

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
        yield {**environ, "XDG_STATE_HOME": logs}
