"""Makes a task, by the runner that its options name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from dag_factory.plan import DagPlan, TaskPlan
from dag_factory.runners import kubernetes, local
from dag_factory.runs import Prepare


def make_task(
    plan: DagPlan,
    task: TaskPlan,
    project_root: Path,
    arguments: Mapping[str, Any],
    prepare: Prepare | None = None,
) -> BaseOperator:
    """Return the operator for one task, as the `make_task` of its runner does."""
    if task.options.in_pod:
        return kubernetes.make_task(plan, task, arguments, prepare)
    return local.make_task(plan, task, project_root, arguments, prepare)
