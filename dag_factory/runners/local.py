"""Runs Meltano as a process of the Airflow worker: for one machine, and for development."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dag_factory.errors import Severity
from dag_factory.plan import DagPlan, TaskPlan
from dag_factory.project import read_project
from dag_factory.summary import LastError, read_log_line

_AIRFLOWS_OWN = ("AIRFLOW_", "_AIRFLOW_")
# Airflow kills a task's process five seconds after asking it to stop; then nobody would be left to
# kill a Meltano that does not heed SIGTERM.
_KILL_SECONDS = 4
_SCHEDULED = ("scheduled", "backfill")


class MeltanoOperator(BaseOperator):
    """Runs one Meltano command, streams its log, and fails with Meltano's own last error.

    The process inherits the worker's environment without Airflow's own variables, which hold
    connections and keys. On a kill, Meltano and its plugins get SIGTERM, upon which Meltano marks
    its run as failed; SIGKILL follows four seconds later.

    Args:
        argv: The command; no shell sees it.
        project_root: The folder that holds `meltano.yml`.
        environment: The Meltano environment.
        schedule_env: Variables that only scheduled runs get, as in `meltano schedule run`.
        **kwargs: Those of every Airflow operator.
    """

    def __init__(
        self,
        *,
        argv: Sequence[str],
        project_root: str,
        environment: str,
        schedule_env: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.argv = list(argv)
        self.project_root = project_root
        self.environment = environment
        self.schedule_env = dict(schedule_env)
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def execute(self, context: Any) -> None:
        """Run the command to its end.

        Raises:
            AirflowFailException: Meltano is not installed; no retry would help.
            AirflowException: The command failed; the message is its last error.
        """
        last_error = LastError()
        self.log.info("Running %s in %s", shlex.join(self.argv), self.project_root)
        with (
            subprocess.Popen(  # noqa: S603 - an argv list from the plan; no shell
                [_executable(self.argv[0]), *self.argv[1:]],
                cwd=self.project_root,
                env=self.process_environment(context["dag_run"]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="backslashreplace",
                start_new_session=True,
            ) as process
        ):
            self._process = process
            if self._stopped:
                self.on_kill()
            try:
                for line in process.stdout or ():
                    entry = read_log_line(line)
                    last_error.note(entry)
                    self.log.log(entry.level, "%s", entry.text)
                process.wait()
            finally:
                _end(process)
        if process.returncode:
            reason = (
                _project_problem(Path(self.project_root))
                or last_error.text
                or "it wrote no error; see the log above"
            )
            raise AirflowException(f"{_outcome(process.returncode)}: {reason}")

    def process_environment(self, dag_run: Any) -> dict[str, str]:
        """Return the variables that the process gets for one DAG run."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(_AIRFLOWS_OWN)
        }
        scheduled = dag_run.run_type in _SCHEDULED
        return {
            **inherited,
            "MELTANO_PROJECT_ROOT": self.project_root,
            "MELTANO_ENVIRONMENT": self.environment,
            **(self.schedule_env if scheduled else {}),
            "MELTANO_CLI_LOG_FORMAT": "json",
            "MELTANO_JOB_TRIGGER": f"airflow:{dag_run.dag_id}/{dag_run.run_id}",
            "NO_COLOR": "1",
        }

    def on_kill(self) -> None:
        """Ask Meltano to stop, and soon force it; `execute` goes on reading its log until then."""
        self._stopped = True
        if self._process is not None:
            _signal_group(self._process, signal.SIGTERM)
            force = threading.Timer(_KILL_SECONDS, _signal_group, [self._process, signal.SIGKILL])
            force.daemon = True
            force.start()


def _executable(name: str) -> str:
    """Find the command beside this Python first: Airflow's PATH need not hold its own venv."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        msg = f"`{name}` is not installed where Airflow runs; install it there: pip install {name}"
        raise AirflowFailException(msg)
    return found


def _end(process: subprocess.Popen[str]) -> None:
    """Leave no process behind, however `execute` ended."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_KILL_SECONDS)
    _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal Meltano and its plugins: Meltano 4.4 alone waits for ever for a plugin to end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _outcome(returncode: int) -> str:
    if returncode in (-signal.SIGTERM, 128 + signal.SIGTERM):
        return "Meltano was stopped (Airflow shut down, or somebody ended the task)"
    if returncode < 0:
        return f"Meltano was killed by {signal.Signals(-returncode).name}"
    return f"Meltano failed with exit code {returncode}"


def _project_problem(root: Path) -> str | None:
    """Return why Meltano refuses every command, if it does: it says so without file and line."""
    _, problems = read_project(root)
    fatal = (each.text(root) for each in problems if each.severity is Severity.PROJECT)
    return next(fatal, None)


def make_task(plan: DagPlan, task: TaskPlan, project_root: Path) -> MeltanoOperator:
    """Return the operator for one task; call it inside its DAG."""
    options = plan.options
    owner = {} if options.owner is None else {"owner": options.owner}
    return MeltanoOperator(
        task_id=task.task_id,
        argv=task.argv,
        project_root=str(project_root),
        environment=plan.environment,
        schedule_env=plan.schedule_env,
        doc_md=f"`{shlex.join(task.argv)}`",
        retries=options.retries,
        retry_delay=options.retry_delay,
        execution_timeout=options.execution_timeout,
        max_active_tis_per_dag=1,
        **owner,
    )
