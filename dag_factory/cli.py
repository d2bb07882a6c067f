"""`meltano-dags`: what Airflow will see, without Airflow."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dag_factory.errors import SettingsError, Severity
from dag_factory.plan import DagPlan
from dag_factory.planner import read_plans
from dag_factory.settings import Settings, read_settings

_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 where a job cannot run, 2 where the call is wrong."""
    arguments = _parser().parse_args(argv)
    try:
        settings = _settings(arguments)
    except SettingsError as error:
        print(f"meltano-dags: {error}", file=sys.stderr)
        return _USAGE_ERROR
    plans, problems = read_plans(settings)
    for problem in problems:
        print(problem.text(settings.project_root), file=sys.stderr)
    if arguments.command == "list":
        rows = [_row(plan) for plan in plans]
        print(json.dumps(rows, indent=2) if arguments.format == "json" else _table(rows))
    wrong = sum(problem.severity is not Severity.WARNING for problem in problems)
    if arguments.command == "check":
        counts = {"DAG": len(plans), "problem": wrong, "warning": len(problems) - wrong}
        print(", ".join(_count(number, noun) for noun, number in counts.items()))
    return 1 if wrong else 0


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="meltano-dags", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--environment", help="the Meltano environment (MELTANO_ENVIRONMENT)")
    shared.add_argument(
        "--project",
        type=Path,
        help="the folder that holds meltano.yml (default: MELTANO_PROJECT_ROOT, or here)",
    )
    commands.add_parser("check", parents=[shared], help="say what is wrong, and where")
    listing = commands.add_parser("list", parents=[shared], help="list the DAGs and their tasks")
    listing.add_argument("--format", choices=["text", "json"], default="text")
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    chosen = {
        "MELTANO_ENVIRONMENT": arguments.environment,
        "MELTANO_PROJECT_ROOT": arguments.project,
    }
    given = {name: str(value) for name, value in chosen.items() if value}
    return read_settings(Path.cwd(), os.environ | given)


def _row(plan: DagPlan) -> dict[str, Any]:
    tasks = [
        {"task_id": task.task_id, "argv": list(task.argv), "upstream": task.upstream}
        for task in plan.tasks
    ]
    return {"dag_id": plan.dag_id, "job": plan.job, "crons": list(plan.crons), "tasks": tasks}


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        lines.append(f"{row['dag_id']}  ({', '.join(row['crons']) or 'by hand'})")
        lines += [f"    {shlex.join(task['argv'])}" for task in row["tasks"]]
    return "\n".join(lines)
