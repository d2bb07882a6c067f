"""Airflow DAGs straight from meltano.yml: every Meltano job becomes a DAG at parse time.

A DAG file of three lines is all it takes; see `dags/` in the repository. Airflow is imported only
when the functions here are called.
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
