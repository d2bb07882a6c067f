"""Hides the files of a Meltano run, except the loaded rows, from other users of the machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_OWNER_ONLY = 0o700
_log = logging.getLogger(__name__)


@contextmanager
def private_files(root: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Protect the configuration of plugins during a run, and delete Meltano's own log after it.

    Meltano writes the configuration, with secrets, to `.meltano/run`. It deletes it at the end,
    unless it is killed. Meltano also writes the unmasked output of plugins to a log below
    `XDG_STATE_HOME`; Airflow's log has the same lines. Source: Meltano 4.4's ProjectDirsService.

    Args:
        root: The folder that holds `meltano.yml`.
        environ: The variables of the run.

    Yields:
        The variables with which Meltano must be started.
    """
    folder = Path(environ.get("MELTANO_SYS_DIR_ROOT") or root / ".meltano", "run")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        folder.chmod(_OWNER_ONLY)
    except PermissionError:
        _log.warning(
            "Other users can read the secrets of runs in %s, which another user owns; give the "
            "folder to the user of the worker",
            folder,
        )
    with TemporaryDirectory(prefix="meltano-", ignore_cleanup_errors=True) as logs:
        yield {**environ, "XDG_STATE_HOME": logs}
