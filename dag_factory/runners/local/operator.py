"""Runs Meltano as a process of the Airflow worker: on a single machine, and for development."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.log import mask_secret

from dag_factory.errors import SecretsError, Severity
from dag_factory.meltano_process.log import LogEntry
from dag_factory.meltano_process.process import MeltanoProcess, find_command
from dag_factory.meltano_process.result import RunSummary
from dag_factory.planning.plan import DagPlan, TaskPlan
from dag_factory.project.model import read_project
from dag_factory.runners.local.private_files import private_files
from dag_factory.runners.outcome import finish_run
from dag_factory.runners.prepare import Prepare, PreparedRun, prepare_run
from dag_factory.secrets.masking import hidden_forms, make_mask
from dag_factory.secrets.task_variables import read_task_variables

_AIRFLOW_PREFIXES = ("AIRFLOW_", "_AIRFLOW_")
# Airflow kills a task's process five seconds after it asked the process to stop. By then this
# process must have killed a Meltano that ignores SIGTERM.
_STOP_SECONDS = 4


class MeltanoOperator(BaseOperator):
    """Runs one Meltano command, streams its log, and fails with Meltano's own last error.

    The process inherits the worker's environment except Airflow's own variables, which hold
    connections and keys. When the task is stopped, `MeltanoProcess.stop` ends the process within
    four seconds.

    Args:
        prepare: Returns the command and the variables of a run, given Airflow's context.
        project_root: The folder that holds `meltano.yml`.
        environment: The Meltano environment.
        **kwargs: The arguments of every Airflow operator.
    """

    def __init__(
        self,
        *,
        prepare: Prepare,
        project_root: str,
        environment: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prepare = prepare
        self.project_root = project_root
        self.environment = environment
        self._process: MeltanoProcess | None = None
        self._stopped = False
        self._mask: Callable[[str], str] = str

    def execute(self, context: Any) -> None:
        """Run the command until it ends.

        Raises:
            AirflowFailException: The command is not installed, or a value contains a NUL.
            AirflowException: Meltano failed; `finish_run` lists the other exceptions.
        """
        run = self.prepare(context)
        finish_run(run, self._run(run), self.outlets, context)

    def _run(self, run: PreparedRun) -> RunSummary:
        argv = [_find(run.argv[0]), *run.argv[1:]]
        root = Path(self.project_root)
        try:
            environ = self._with_secrets(run, self.process_environment(run.variables))
        except SecretsError as error:
            return RunSummary(error.exit_code, str(error))
        self.log.info("Running %s in %s", shlex.join(run.argv), root)
        with private_files(root, environ) as private_environ:
            self._process = MeltanoProcess(
                argv,
                root,
                private_environ,
                extractors=run.extractors,
                bookmarked=run.bookmarked,
                patience=_STOP_SECONDS,
            )
            if self._stopped:
                self._process.stop()
            summary = self._process.run(self._write_log)
        if summary.exit_code and (reason := _project_problem(root)):
            return replace(summary, error=reason)
        return replace(summary, error=summary.error and self._mask(summary.error))

    def _with_secrets(self, run: PreparedRun, environ: dict[str, str]) -> Mapping[str, str]:
        """Return the variables together with the run's secrets, and mask the secrets in the log.

        Airflow masks them too in the logs that it writes itself; `airflow dags test` does not.
        """
        root = Path(self.project_root)
        if run.sensitive and not run.secrets and (root / ".env").is_file():
            self.log.info("Settings come from .env: DAG_FACTORY_SECRETS_PREFIX is not set")
        variables = read_task_variables(root, environ, run.secrets, run.sensitive)
        for form in hidden_forms(variables.hidden_values):
            mask_secret(form)
        self._mask = make_mask(variables.hidden_values)
        for entry in variables.log_entries:
            self._write_log(entry)
        return variables.environ

    def _write_log(self, entry: LogEntry) -> None:
        self.log.log(entry.level, "%s", self._mask(entry.text))

    def process_environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of the process: the worker's, overridden by the run's."""
        invalid = [name for name, value in variables.items() if "\0" in value]
        if invalid:
            names = ", ".join(invalid)
            raise AirflowFailException(f"the value of {names} contains a NUL character; remove it")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_AIRFLOW_PREFIXES)
        }
        return {
            **inherited,
            "MELTANO_PROJECT_ROOT": self.project_root,
            "MELTANO_ENVIRONMENT": self.environment,
            **variables,
        }

    def on_kill(self) -> None:
        """Stop Meltano; `execute` goes on reading its log until it has ended."""
        self._stopped = True
        if self._process is not None:
            self._process.stop()


def _find(name: str) -> str:
    found = find_command(name)
    if found is None:
        msg = (
            f"`{name}` is not installed where Airflow runs: it is neither next to Airflow's Python "
            "nor on PATH; install it there"
        )
        raise AirflowFailException(msg)
    return found


def _project_problem(root: Path) -> str | None:
    """Return why Meltano rejects the project; unlike Meltano's error it names file and line."""
    _, problems = read_project(root)
    fatal = (each.text(root) for each in problems if each.severity is Severity.PROJECT)
    return next(fatal, None)


def make_task(
    plan: DagPlan,
    task: TaskPlan,
    project_root: Path,
    arguments: Mapping[str, Any],
    prepare: Prepare | None = None,
) -> MeltanoOperator:
    """Return the operator of one task; call it within the task's DAG.

    Args:
        plan: The plan of the DAG.
        task: The plan of the task.
        project_root: The folder that holds `meltano.yml`.
        arguments: The arguments that the operators of every runner take.
        prepare: Returns the command of a task that does not belong to a job.
    """
    return MeltanoOperator(
        prepare=prepare or partial(prepare_run, plan, task),
        project_root=str(project_root),
        environment=plan.environment,
        **arguments,
    )
