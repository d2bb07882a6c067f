"""Integrity tests for any repository with a Meltano project, as a class for pytest.

    from dag_factory.testing import get_dag_test_class

    TestDags = get_dag_test_class("meltano", environment="prod")

A test about a DAG runs once for each DAG, so that a failure names the DAG.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from dag_factory.cron import wrong_cron
from dag_factory.errors import Problem
from dag_factory.options.pod_values import is_pinned
from dag_factory.planning.plan import is_legal_id
from dag_factory.planning.planned_project import check_project
from dag_factory.runners.kubernetes.pod_spec import pod_template
from dag_factory.settings import Settings, read_settings

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from dag_factory import Deployment
    from dag_factory.planning.plan import DagPlan


class DagTests:
    """The rules that every DAG of a Meltano project should keep."""

    settings: Settings
    plans: tuple[DagPlan, ...]
    problems: tuple[Problem, ...]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test with the argument `plan` once for each DAG."""
        if "plan" in metafunc.fixturenames:
            metafunc.parametrize("plan", self.plans, ids=[plan.dag_id for plan in self.plans])

    def test_the_project_has_no_problems(self) -> None:
        """Every job can run."""
        wrong = [each for each in self.problems if not each.is_warning]
        assert not wrong, self._texts(wrong)

    def test_no_secret_is_in_plaintext(self) -> None:
        """The project holds the names of variables instead of secrets."""
        found = [each for each in self.problems if each.code.concerns_secret]
        assert not found, self._texts(found)

    def test_some_job_has_a_dag(self) -> None:
        """The environment has a job."""
        assert self.plans, "no job of the project has a DAG in this environment"

    def test_airflow_accepts_the_dag(self, plan: DagPlan) -> None:
        """Airflow can build, validate and store the DAG."""
        dags, found = self._build(plan)
        assert list(dags) == [plan.dag_id], self._texts(found)

    def test_the_dag_is_the_same_whenever_it_is_built(self, plan: DagPlan) -> None:
        """Two builds give equal bytes; otherwise Airflow stores a version at each parse."""
        first, second = (_serialised(self._build(plan)[0].get(plan.dag_id)) for _ in range(2))
        assert first == second, _at(plan, "two builds of the DAG differ")

    def test_ids_are_legal(self, plan: DagPlan) -> None:
        """The IDs are valid in Airflow and as labels in Kubernetes, and unique."""
        ids = [task.task_id for task in plan.tasks]
        assert len(set(ids)) == len(ids), _at(plan, f"the task IDs {ids} are not unique")
        illegal = [each for each in (plan.dag_id, *ids) if not is_legal_id(each)]
        assert not illegal, _at(plan, f"{illegal} are not legal IDs")

    def test_schedules_can_fire(self, plan: DagPlan) -> None:
        """Airflow accepts the cron expressions of the schedules."""
        wrong = {each.name: wrong_cron(each.cron) for each in plan.timed}
        assert not any(wrong.values()), _at(plan, f"cron expressions: {wrong}")

    def test_tasks_are_retried(self, plan: DagPlan) -> None:
        """A source that is unavailable for a minute does not fail the run."""
        once = [task.task_id for task in plan.tasks if not task.options.retries]
        assert not once, _at(plan, f"set `retries` for {', '.join(once)}")

    def test_images_of_pods_are_pinned(self, plan: DagPlan) -> None:
        """Each container of a task's pod has an image with a fixed version."""
        moving = [
            f"{container.get('image')!r} of {task.task_id}"
            for task in plan.tasks
            if task.options.in_pod
            for container in _containers(pod_template(plan, task))
            if not is_pinned(str(container.get("image")))
        ]
        assert not moving, _at(plan, f"pin the version of the image {', '.join(moving)}")

    def test_somebody_owns_the_dag(self, plan: DagPlan) -> None:
        """The DAG has an owner, whom people can ask."""
        assert plan.options.owner, _at(plan, "set `owner`")

    def test_somebody_is_notified_of_failures(self, plan: DagPlan) -> None:
        """A mail or another notifier reports failures."""
        mailed = plan.options.email and "failure" in plan.options.email_on
        notified = any("failure" in each.events for each in plan.options.notify)
        assert mailed or notified, _at(plan, "set `email` or `notify`")

    def _build(self, plan: DagPlan) -> tuple[dict[str, DAG], tuple[Problem, ...]]:
        from dag_factory.airflow.build import build_dags  # noqa: PLC0415 - imports Airflow

        return build_dags([plan], self.settings)

    def _texts(self, problems: Iterable[Problem]) -> str:
        return "\n".join(["", *(each.text(self.settings.project_root) for each in problems)])


def get_dag_test_class(
    project_root: Path | str, **deployment: Unpack[Deployment]
) -> type[DagTests]:
    """Return a class of tests for the DAGs of a project.

    The tests need Airflow, but no database.

    Args:
        project_root: The folder that holds `meltano.yml`.
        **deployment: As in `dag_factory.build_airflow_dags`.

    Raises:
        SettingsError: An argument or an environment variable cannot be used.
    """
    settings = read_settings(project_root, **deployment)
    planned = check_project(settings)
    members = {"settings": settings, "plans": planned.plans, "problems": planned.problems}
    return type("DagTests", (DagTests,), members)


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]


def _at(plan: DagPlan, what: str) -> str:
    return f"{plan.file}:{plan.line}: job {plan.job!r}: {what}"


def _serialised(dag: DAG | None) -> str:
    from airflow.serialization.serialized_objects import (  # noqa: PLC0415 - imports Airflow
        DagSerialization,
    )

    return json.dumps(DagSerialization.to_dict(dag)) if dag else ""
