"""Airflow DAGs from meltano.yml: each Meltano job becomes a DAG when Airflow parses a DAG file.

The map of this package: in which module a behaviour is decided, and which process runs it. The
docstring of each sub-package lists all of its modules.

Read a project: the DAG processor, a worker (it parses the DAG file again), a task's pod, a terminal
    meltano_yaml     meltano.yml and its includes as YAML 1.2: reader (one file), includes (merged)
    project          as Meltano loads it: model (jobs, schedules), plugins, task_grammar (what the
                     words of `tasks` mean), validation (what Meltano rejects)
    options          `annotations: {airflow: ...}`: catalog (every option and its default, such as
                     `retries`), annotations (which place wins), values and pod_values
    checks           warnings: plaintext_secrets, unread_keys; reporting (how problems are printed)
    planning         planner (why a job is planned or not), tasks, schedules, dependencies
                     (`after`), secret_names (what a task reads); the result is in plan
    cron             how a cron expression is read, and when it fires
    settings         the environment variables of a deployment, such as `MELTANO_ENVIRONMENT`
    errors           the codes of problems, and the exceptions

Build DAGs: the DAG processor, a worker
    airflow          build (DAGs), arguments, schedules, state_dag, plan_cache (the last good plan);
                     timetables, which the scheduler and the API server run too; alerts and
                     alert_mail (mails), which the triggerer runs for a missed deadline

Run a task: a worker
    runners          prepare (command and variables of a run), trigger_form, outcome (done, failed
                     or retried); local: operator (Meltano on the worker); kubernetes: pod_spec (the
                     pod), pod (when it is deleted), pod_failures (why it failed)

Run Meltano: a worker, or a task's pod
    secrets          aws and values (AWS Secrets Manager), masking (`***` in a log)
    meltano_process  process (start and stop), log (read it), result (the summary of a run)
    pod              the programs in a pod: meltano_task, meltano_state, release_lock

Look at a project: a terminal, CI
    cli              `meltano-dags`: main, listing, graph; `meltano-dags secrets`: secrets
    testing          integrity tests for pytest

Imports go one way, which `lint-imports` checks: cli > airflow > runners, pod > secrets > planning >
checks > project, settings > options > meltano_yaml > errors, cron, meltano_process. Airflow is
imported only when a function below is called.
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
    """What a DAG file may say of the DAGs that it loads.

    Attributes:
        environment: The Meltano environment, in place of `MELTANO_ENVIRONMENT`.
        dag_id_prefix: What begins each DAG id, such as `prod_`: one Airflow can serve several
            projects or environments, with a DAG file each. Default: nothing.
        dag_id_template: What the rest of a DAG id is made of: `{job}`, `{schedule}` (the first
            schedule of the job that fires, or the job itself where it has none), `{environment}`.
            Default: `{job}`; `meltano_{schedule}_{job}` keeps the ids of Meltano's own generator.
    """

    environment: str | None
    dag_id_prefix: str
    dag_id_template: str


def build_airflow_dags(
    project_root: Path | str | None = None, **deployment: Unpack[Deployment]
) -> dict[str, DAG]:
    """Return a DAG for each job of the Meltano project that can run, by DAG id.

    Jobs that cannot run are left out; `raise_project_problems` names them.

    Args:
        project_root: Where the project lies. Default: `MELTANO_PROJECT_ROOT`.
        **deployment: As in `Deployment`.

    Raises:
        SettingsError: There is no project there.
    """
    return _build(read_settings(project_root, **deployment))[0]


def raise_project_problems(
    project_root: Path | str | None = None, **deployment: Unpack[Deployment]
) -> None:
    """Raise one error that lists everything that keeps a job from running.

    Called in a DAG file of its own, it shows as that file's import error in Airflow's UI while
    the good DAGs live on: an error in their own file would take them all offline.

    Args:
        project_root: Where the project lies. Default: `MELTANO_PROJECT_ROOT`.
        **deployment: As in `build_airflow_dags`, with the same values.

    Raises:
        ProjectError: Something does; the message has a line `file:line: what` for each.
        SettingsError: There is no project there.
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
