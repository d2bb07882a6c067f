"""Makes the operator of a task for the runner that its options name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from dag_factory.planning.plan import DagPlan, TaskPlan
from dag_factory.runners.kubernetes import operator as kubernetes
from dag_factory.runners.local import operator as local
from dag_factory.runners.prepare import Prepare


def make_task(
    plan: DagPlan,
    task: TaskPlan,
    project_root: Path,
    arguments: Mapping[str, Any],
    prepare: Prepare | None = None,
) -> BaseOperator:
    """Return the operator of one task; its runner's `make_task` documents the arguments."""
    if task.options.in_pod:
        return kubernetes.make_task(plan, task, arguments, prepare)
    return local.make_task(plan, task, project_root, arguments, prepare)
