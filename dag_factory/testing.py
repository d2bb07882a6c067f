"""Integrity tests for any repository with a Meltano project: a class for pytest.

    from dag_factory.testing import get_dag_test_class

    TestDags = get_dag_test_class("meltano", environment="prod")

Each test is there once per DAG where it concerns one, so that a failure names the DAG.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pytest

from dag_factory.cron import wrong_cron
from dag_factory.errors import SECRETS, Problem
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
    """What every DAG of a Meltano project should keep."""

    settings: Settings
    plans: tuple[DagPlan, ...]
    problems: tuple[Problem, ...]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each DAG."""
        if "plan" in metafunc.fixturenames:
            metafunc.parametrize("plan", self.plans, ids=[plan.dag_id for plan in self.plans])

    def test_the_project_has_no_problems(self) -> None:
        """Nothing keeps a job from running."""
        wrong = [each for each in self.problems if not each.is_warning]
        assert not wrong, self._said(wrong)

    def test_no_secret_stands_in_clear(self) -> None:
        """Secrets are names of variables."""
        found = [each for each in self.problems if each.code in SECRETS]
        assert not found, self._said(found)

    def test_some_job_has_a_dag(self) -> None:
        """The environment is not empty."""
        assert self.plans, "no job of the project has a DAG in this environment"

    def test_airflow_takes_the_dag(self, plan: DagPlan) -> None:
        """It is built, is valid, and can be stored."""
        dags, found = self._build(plan)
        assert list(dags) == [plan.dag_id], self._said(found)

    def test_the_dag_is_the_same_whenever_it_is_built(self, plan: DagPlan) -> None:
        """Its bytes are; else Airflow would store a new version at every parse."""
        first, second = (_serialised(self._build(plan)[0].get(plan.dag_id)) for _ in range(2))
        assert first == second

    def test_ids_are_legal(self, plan: DagPlan) -> None:
        """They are ids for Airflow and labels for Kubernetes, and each is there once."""
        ids = [task.task_id for task in plan.tasks]
        assert len(set(ids)) == len(ids)
        assert [each for each in (plan.dag_id, *ids) if not is_legal_id(each)] == []

    def test_schedules_can_fire(self, plan: DagPlan) -> None:
        """Airflow takes their cron expressions."""
        wrong = {each.name: wrong_cron(each.cron) for each in plan.timed}
        assert not any(wrong.values()), wrong

    def test_tasks_are_tried_again(self, plan: DagPlan) -> None:
        """A source that is away for a minute fails no run."""
        once = [task.task_id for task in plan.tasks if not task.options.retries]
        assert not once, _at(plan, f"set `retries` for {', '.join(once)}")

    def test_images_of_pods_are_pinned(self, plan: DagPlan) -> None:
        """Each container of a task's pod, as its options make it, is of one version."""
        moving = [
            f"{container.get('image')!r} of {task.task_id}"
            for task in plan.tasks
            if task.options.in_pod
            for container in _containers(pod_template(plan, task))
            if not is_pinned(str(container.get("image")))
        ]
        assert not moving, _at(plan, f"give a version to the image {', '.join(moving)}")

    def test_somebody_owns_the_dag(self, plan: DagPlan) -> None:
        """There is somebody to ask."""
        assert plan.options.owner, _at(plan, "set `owner`")

    def test_somebody_hears_of_failures(self, plan: DagPlan) -> None:
        """By mail, or by another notifier."""
        mailed = plan.options.email and "failure" in plan.options.email_on
        notified = any("failure" in each.events for each in plan.options.notify)
        assert mailed or notified, _at(plan, "set `email` or `notify`")

    def _build(self, plan: DagPlan) -> tuple[dict[str, DAG], tuple[Problem, ...]]:
        from dag_factory.airflow.build import build_dags  # noqa: PLC0415 - Airflow begins there

        return build_dags([plan], self.settings)

    def _said(self, problems: Iterable[Problem]) -> str:
        return "\n".join(["", *(each.text(self.settings.project_root) for each in problems)])


def get_dag_test_class(
    project_root: Path | str, **deployment: Unpack[Deployment]
) -> type[DagTests]:
    """Return a class of tests for the DAGs of a project.

    They need Airflow, and no database.

    Args:
        project_root: Where the project lies.
        **deployment: As in `dag_factory.build_airflow_dags`.

    Raises:
        SettingsError: What is said of the deployment cannot be used.
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
    from airflow.serialization.serialized_objects import (  # noqa: PLC0415 - as above
        DagSerialization,
    )

    return json.dumps(DagSerialization.to_dict(dag)) if dag else ""
