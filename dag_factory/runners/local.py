"""Runs Meltano as a process of the Airflow worker: for one machine, and for development."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.log import mask_secret

from dag_factory.errors import Severity
from dag_factory.plan import DagPlan, TaskPlan
from dag_factory.project import read_project
from dag_factory.runs import PreparedRun, prepare_run
from dag_factory.summary import LastError, RowCounts, read_log_line

_AIRFLOWS_OWN = ("AIRFLOW_", "_AIRFLOW_")
# Airflow kills a task's process five seconds after asking it to stop; then nobody would be left to
# kill a Meltano that does not heed SIGTERM.
_KILL_SECONDS = 4


class MeltanoOperator(BaseOperator):
    """Runs one Meltano command, streams its log, and fails with Meltano's own last error.

    The process inherits the worker's environment without Airflow's own variables, which hold
    connections and keys. On a kill, Meltano and its plugins get SIGTERM, upon which Meltano marks
    its run as failed; SIGKILL follows four seconds later.

    Args:
        prepare: Returns the command and the variables of a run, from Airflow's context.
        project_root: The folder that holds `meltano.yml`.
        environment: The Meltano environment.
        **kwargs: Those of every Airflow operator.
    """

    def __init__(
        self,
        *,
        prepare: Callable[[Mapping[str, Any]], PreparedRun],
        project_root: str,
        environment: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prepare = prepare
        self.project_root = project_root
        self.environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def execute(self, context: Any) -> None:
        """Run the command to its end.

        Raises:
            AirflowFailException: Meltano is not installed, a variable cannot be one, or the rows
                are not as expected; no retry would help.
            AirflowException: The command failed; the message is its last error.
            AirflowSkipException: It was a dry run, so that no other task or job runs after it.
        """
        run = self.prepare(context)
        counts = RowCounts(run.extractors)
        self._run(run, counts)
        if run.is_dry:
            raise AirflowSkipException("This was a dry run of the whole job.")
        if run.expect and not counts.heard:
            self.log.warning("The log level is too high to count rows, so none are expected.")
        wrong = run.expect.wrong(counts.rows) if run.expect and counts.heard else []
        if wrong:
            raise AirflowFailException(f"Meltano succeeded, but {'; '.join(wrong)}")
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"rows": counts.rows}

    def _run(self, run: PreparedRun, counts: RowCounts) -> None:
        last_error = LastError()
        for name in run.secrets:
            if value := os.environ.get(name):
                mask_secret(value)
        self.log.info("Running %s in %s", shlex.join(run.argv), self.project_root)
        with (
            subprocess.Popen(  # noqa: S603 - an argv list from the plan; no shell
                [find_executable(run.argv[0]), *run.argv[1:]],
                cwd=self.project_root,
                env=self.process_environment(run.variables),
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
                    counts.note(entry)
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

    def process_environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that the process gets: the worker's, and those of a run."""
        wrong = [name for name, value in variables.items() if "\0" in value]
        if wrong:
            raise AirflowFailException(f"the value of {', '.join(wrong)} holds a NUL; remove it")
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(_AIRFLOWS_OWN)
        }
        return {
            **inherited,
            "MELTANO_PROJECT_ROOT": self.project_root,
            "MELTANO_ENVIRONMENT": self.environment,
            **variables,
            "MELTANO_CLI_LOG_FORMAT": "json",
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


def find_executable(name: str) -> str:
    """Find a command, beside this Python first: Airflow's PATH need not hold its own venv.

    Raises:
        AirflowFailException: There is none.
    """
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


def make_task(
    plan: DagPlan, task: TaskPlan, project_root: Path, arguments: Mapping[str, Any]
) -> MeltanoOperator:
    """Return the operator for one task, with the arguments of every runner; call it in its DAG."""
    return MeltanoOperator(
        prepare=partial(prepare_run, plan, task),
        project_root=str(project_root),
        environment=plan.environment,
        **arguments,
    )
