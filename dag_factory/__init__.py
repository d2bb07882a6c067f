"""Airflow DAGs from meltano.yml: each Meltano job becomes a DAG when Airflow parses a DAG file.

The map of this package: in which module a behaviour is decided, and which process runs it. The
docstring of each sub-package lists all of its modules.

Read a project: the DAG processor, a worker (it parses the DAG file again), a task's pod, a terminal
    meltano_yaml     meltano.yml and its includes as YAML 1.2: reader (one file), includes (merged)
    project          as Meltano loads it: model (jobs, schedules), plugins, task_grammar (what the
                     words of `tasks` mean), validation (what Meltano rejects),
                     option_precedence (which place of an option wins)
    options          `annotations: {airflow: ...}`: catalog (every option and its default, such as
                     `retries`), annotations (the options of a place), values and pod_values
    checks           warnings: plaintext_secrets, unread_keys; reporting (how problems are printed)
    planning         planner (why a job is planned or not), tasks, schedules, dependencies
                     (`after`), secret_names (what a task reads); the result is in plan
    cron             intervals such as `@daily`, how cron is read, when it fires
    settings         the environment variables of a deployment, such as `MELTANO_ENVIRONMENT`
    errors           the codes of problems, and the exceptions
    secret_patterns  what counts as a plaintext secret, and is masked in messages

Build DAGs: the DAG processor, a worker
    airflow          build (DAGs), arguments, schedules, state_dag, plan_cache (the last good plan);
                     timetables, also in the scheduler and the API server; alerts and alert_mail
                     (mails), also in the triggerer for a missed deadline

Run a task: a worker
    runners          prepare (command and variables of a run), trigger_form, outcome (done, failed
                     or retried); local: operator (Meltano on the worker); kubernetes: pod_spec (the
                     pod), pod (when it is deleted), pod_failures (why it failed)

Run Meltano: a worker, or a task's pod
    secrets          aws and values (AWS Secrets Manager), masking (`***` in a log)
    meltano_process  process (start and stop), log (read it), result (the summary of a run)
    exit_codes       the exit codes of a task besides Meltano's own
    pod              the programs in a pod: meltano_task, meltano_state, release_lock

Look at a project: a terminal, CI
    cli              `meltano-dags`: main, listing, graph; `meltano-dags secrets`: secrets
    testing          integrity tests for pytest

Imports go one way, which `lint-imports` checks: cli > airflow > runners, pod > secrets > planning >
checks > project, settings > options > meltano_yaml > errors, cron, meltano_process >
exit_codes, secret_patterns. Airflow is imported only when a function below is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from dag_factory.errors import Problem, ProjectError, in_order
from dag_factory.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["build_airflow_dags", "raise_project_problems"]


class Deployment(TypedDict, total=False):
    """The keyword arguments with which a DAG file describes its DAGs.

    Attributes:
        environment: The Meltano environment; it overrides `MELTANO_ENVIRONMENT`.
        dag_id_prefix: The beginning of each DAG ID, such as `prod_`. With it, one Airflow can serve
            several projects or environments, each with a DAG file of its own. Default: nothing.
        dag_id_template: The rest of each DAG ID, with `{job}`, `{schedule}` and `{environment}`.
            `{schedule}` is the first schedule of the job that fires, or the job itself if it has
            none. Default: `{job}`. `meltano_{schedule}_{job}` keeps the IDs of Meltano's own
            generator.
    """

    environment: str | None
    dag_id_prefix: str
    dag_id_template: str


def build_airflow_dags(
    project_root: Path | str | None = None, **deployment: Unpack[Deployment]
) -> dict[str, DAG]:
    """Return a DAG for each job of the Meltano project that can run, by DAG ID.

    Jobs that cannot run are left out; `raise_project_problems` names them.

    Args:
        project_root: The folder that contains `meltano.yml`. Default: `MELTANO_PROJECT_ROOT`.
        **deployment: As in `Deployment`.

    Raises:
        SettingsError: No folder is given, or a setting is invalid.
    """
    return _build(read_settings(project_root, **deployment))[0]


def raise_project_problems(
    project_root: Path | str | None = None, **deployment: Unpack[Deployment]
) -> None:
    """Raise one error that lists every problem that keeps a job from running.

    Call it in a DAG file of its own. Airflow's UI then shows the error as the import error of that
    file, and the DAGs of the other file stay. An error in their own file would take them offline.

    Args:
        project_root: The folder that contains `meltano.yml`. Default: `MELTANO_PROJECT_ROOT`.
        **deployment: As in `build_airflow_dags`, with the same values.

    Raises:
        ProjectError: A job cannot run. The message has a line for each problem, with its place.
        SettingsError: No folder is given, or a setting is invalid.
    """
    settings = read_settings(project_root, **deployment)
    _, found, from_last_good = _build(settings)
    problems = [each for each in found if not each.is_warning]
    if problems:
        note = "The DAGs are those of the last good meltano.yml." if from_last_good else ""
        raise ProjectError(problems, settings.project_root, note)


def _build(settings: Settings) -> tuple[dict[str, DAG], tuple[Problem, ...], bool]:
    from dag_factory.airflow import build, plan_cache  # noqa: PLC0415 - Airflow begins there

    recalled = plan_cache.recall_plans(settings, keep=build.wanted_task().dag_id is None)
    dags, unbuilt = build.build_dags(recalled.plans, settings, recalled.state)
    problems = in_order((*recalled.problems, *unbuilt))
    dags = dags or build.stand_in(problems, settings.project_root)
    return dags, problems, recalled.from_last_good
