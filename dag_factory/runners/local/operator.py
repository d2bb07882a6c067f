"""Runs Meltano as a process of the Airflow worker: for one machine, and for development."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
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
from dag_factory.secrets.unread_keys import key_warnings
from dag_factory.secrets.values import origins, read_secrets

_AIRFLOWS_OWN = ("AIRFLOW_", "_AIRFLOW_")
# Airflow kills a task's process five seconds after asking it to stop; then nobody would be left to
# kill a Meltano that does not heed SIGTERM.
_KILL_SECONDS = 4


class MeltanoOperator(BaseOperator):
    """Runs one Meltano command, streams its log, and fails with Meltano's own last error.

    The process inherits the worker's environment without Airflow's own variables, which hold
    connections and keys. On a kill it has four seconds, as `MeltanoProcess.stop` divides them.

    Args:
        prepare: Returns the command and the variables of a run, from Airflow's context.
        project_root: The folder that holds `meltano.yml`.
        environment: The Meltano environment.
        **kwargs: Those of every Airflow operator.
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
        """Run the command to its end.

        Raises:
            AirflowFailException: The command is not installed, or a variable cannot be one.
            AirflowException: And others, as in `finish_run`.
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
        with private_files(root, environ) as private:
            self._process = MeltanoProcess(
                argv,
                root,
                private,
                extractors=run.extractors,
                bookmarked=run.bookmarked,
                patience=_KILL_SECONDS,
            )
            if self._stopped:
                self._process.stop()
            summary = self._process.run(self._note)
        if summary.exit_code and (reason := _project_problem(root)):
            return replace(summary, error=reason)
        return replace(summary, error=summary.error and self._mask(summary.error))

    def _with_secrets(self, run: PreparedRun, environ: dict[str, str]) -> dict[str, str]:
        """Return the variables with those of a run's secrets, and keep them out of the log.

        Airflow masks them where it writes a log of its own; `airflow dags test` does not.
        """
        file = Path(self.project_root) / ".env"
        if run.sensitive and not run.secrets and file.is_file():
            self.log.info("Settings come from .env: DAG_FACTORY_SECRETS_PREFIX is not set")
        values = read_secrets(run.secrets)
        variables = values.variables
        for line in origins(variables, environ):
            self.log.info(line)
        for line in key_warnings(Path(self.project_root), values.keys):
            self.log.warning(line)
        known = (map(each.get, run.sensitive) for each in (environ, _read_dotenv(file)))
        hidden = [*variables.values(), *filter(None, chain(*known))]
        for form in hidden_forms(hidden):
            mask_secret(form)
        self._mask = make_mask(hidden)
        return {**variables, **environ}

    def _note(self, entry: LogEntry) -> None:
        self.log.log(entry.level, "%s", self._mask(entry.text))

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
        }

    def on_kill(self) -> None:
        """Ask Meltano to stop, and soon force it; `execute` goes on reading its log until then."""
        self._stopped = True
        if self._process is not None:
            self._process.stop()


def _read_dotenv(file: Path) -> Mapping[str, str | None]:
    """Return what Meltano finds in a `.env`, where the package that reads it is installed."""
    try:
        import dotenv  # noqa: PLC0415 - of an extra
    except ImportError:
        return {}
    return dotenv.dotenv_values(file)


def _find(name: str) -> str:
    found = find_command(name)
    if found is None:
        msg = f"`{name}` is not installed where Airflow runs: not beside its Python, nor on PATH"
        raise AirflowFailException(msg)
    return found


def _project_problem(root: Path) -> str | None:
    """Return why Meltano refuses every command, if it does: it says so without file and line."""
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
    """Return the operator for one task; call it in its DAG.

    Args:
        plan: Its DAG.
        task: The task.
        project_root: The folder that holds `meltano.yml`.
        arguments: Those of every runner.
        prepare: Returns its command, where that is none of a job.
    """
    return MeltanoOperator(
        prepare=prepare or partial(prepare_run, plan, task),
        project_root=str(project_root),
        environment=plan.environment,
        **arguments,
    )
