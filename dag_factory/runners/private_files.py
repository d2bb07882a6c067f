"""What a run of Meltano writes beside its rows: for its user alone, and gone when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_PRIVATE = 0o700
_CONFIGURATION = "**/*.config.json"
# By how much the start of a process, counted from that of its machine, and a file's time may differ.
_CLOCKS_SECONDS = 2
_log = logging.getLogger(__name__)


@dataclass
class PrivateRun:
    """One run, and the files that it writes for itself.

    Attributes:
        environ: The variables with which Meltano is to be started.
        is_ended: Whether Meltano has ended by itself, and so removed the configuration of plugins.
    """

    environ: Mapping[str, str]
    is_ended: bool = False


@contextmanager
def private_files(root: Path, environ: Mapping[str, str]) -> Iterator[PrivateRun]:
    """Hide what a run writes while it lasts, and remove it then, however it ends.

    Meltano writes the configuration of plugins, with their secrets, to `.meltano/run`, and leaves
    it there when it is killed. What plugins say, it also writes, as it stands, to a log of its own
    below `XDG_STATE_HOME`; Airflow's log has it all. Source: Meltano 4.4's ProjectDirsService.

    Args:
        root: The folder that holds `meltano.yml`.
        environ: The variables of the run.
    """
    folder = Path(environ.get("MELTANO_SYS_DIR_ROOT") or root / ".meltano", "run")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        folder.chmod(_PRIVATE)
    except PermissionError:
        _log.warning("Others may read secrets in %s: it belongs to another user", folder)
    with TemporaryDirectory(prefix="meltano-", ignore_cleanup_errors=True) as logs:
        # By the clock of files, which is a little behind that of programs.
        started = Path(logs).stat().st_mtime
        run = PrivateRun({**environ, "XDG_STATE_HOME": logs})
        try:
            yield run
        finally:
            if not run.is_ended:
                _forget_configuration(root, folder, started)


def _forget_configuration(root: Path, folder: Path, since: float) -> None:
    """Remove the configuration written since then, unless a Meltano that lives may have written it.

    Its names do not tell whose it is, and a Meltano that finds its own gone would fail. Meltano
    works in the project's root.
    """
    import psutil  # noqa: PLC0415 - only where Meltano was killed

    running = (
        process.info["create_time"]
        for process in psutil.process_iter(["cmdline", "create_time", "cwd"])
        if any(Path(word).name == "meltano" for word in (process.info["cmdline"] or ())[:2])
        and process.info["cwd"] == str(root.resolve())
    )
    until = min(running, default=float("inf"))
    for file in folder.glob(_CONFIGURATION):
        if since <= file.stat().st_mtime < until - _CLOCKS_SECONDS:
            file.unlink(missing_ok=True)
