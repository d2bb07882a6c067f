"""The commands about a project: check, list, show, graph and schema."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from termcolor import colored

from dag_factory.checks.reporting import FORMATS, excerpts, print_errors
from dag_factory.cli.listing import dag_rows, dag_table, describe_dag, meltano_listing
from dag_factory.cli.project_options import settings_from
from dag_factory.errors import Code, Problem, Severity, UsageError, counted, guess, in_order
from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planned_project import PlannedProject, check_project
from dag_factory.settings import Settings

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_UNBUILT = (Code.DAG_NOT_BUILT, Code.WRONG_ARGUMENT)


def add_commands(subparsers: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Add the commands about a project.

    Args:
        subparsers: The commands of `meltano-dags`.
        shared: The options that all commands about a project have.
    """
    check = subparsers.add_parser("check", parents=[shared], help="report the problems")
    check.add_argument("--format", choices=list(FORMATS), default="text")
    check.add_argument(
        "--airflow",
        action="store_true",
        help="also check what only Airflow knows: pools, connections, plugins, notifiers",
    )
    check.set_defaults(run=_check)
    listing = subparsers.add_parser("list", parents=[shared], help="list the DAGs and their tasks")
    listing.add_argument("--format", choices=["text", "json", "meltano"], default="text")
    listing.set_defaults(run=_list)
    show = subparsers.add_parser("show", parents=[shared], help="show everything about one job")
    show.add_argument("job", help="the name of the job, or its DAG ID")
    show.add_argument("--why", action="store_true", help="show where each option is set")
    show.set_defaults(run=_show)
    schema = subparsers.add_parser(
        "schema", help="print the JSON Schema of meltano.yml, for editors"
    )
    schema.set_defaults(run=_schema)
    graph = subparsers.add_parser(
        "graph", parents=[shared], help="draw the order in which jobs and their tasks run"
    )
    graph.add_argument("job", nargs="?", help="one job (default: all)")
    graph.add_argument(
        "--format",
        choices=["mermaid", "svg", "png"],
        help="default: by the name of the output file, or mermaid",
    )
    graph.add_argument("--output", type=Path, help="the file to write (default: standard output)")
    graph.set_defaults(run=_graph)


def _check(arguments: argparse.Namespace) -> bool:
    settings = settings_from(arguments)
    planned = check_project(settings)
    problems = planned.problems
    if arguments.airflow:
        problems = in_order((*problems, *_airflow_problems(planned, settings)))
    is_text = arguments.format == "text"
    if is_text:
        for problem, excerpt in zip(
            problems, excerpts(problems, settings.project_root), strict=True
        ):
            print(_in_color(excerpt, problem))
    elif output := FORMATS[arguments.format](problems, settings.project_root):
        print(output)
    failing = sum(each.fails_check for each in problems)
    if is_text:
        fatal = any(problem.severity is Severity.PROJECT for problem in problems)
        unbuilt = [each for each in problems if each.code in _UNBUILT]
        dags = 0 if fatal else len(planned.plans) - len(unbuilt)
        counts = {"DAG": dags, "problem": failing, "warning": len(problems) - failing}
        print(", ".join(counted(number, noun) for noun, number in counts.items()))
    return not failing


def _airflow_problems(planned: PlannedProject, settings: Settings) -> tuple[Problem, ...]:
    try:
        from dag_factory.cli.check_airflow import airflow_problems  # noqa: PLC0415 - imports Airflow
    except ImportError:
        msg = "--airflow needs Airflow: pip install 'meltano-dag-factory[airflow]'"
        raise UsageError(msg) from None
    return airflow_problems(planned, settings)


def _in_color(shown: str, problem: Problem) -> str:
    first, *rest = shown.split("\n")
    code = str(problem.code)
    painted = first.replace(code, colored(code, "red" if problem.fails_check else "yellow"), 1)
    return "\n".join([painted, *rest])


def _planned(settings: Settings) -> PlannedProject:
    """Return the planned project; print on stderr what cannot run."""
    planned = check_project(settings)
    print_errors(planned.problems, settings.project_root)
    return planned


def _all_run(planned: PlannedProject) -> bool:
    return all(problem.is_warning for problem in planned.problems)


def _list(arguments: argparse.Namespace) -> bool:
    settings = settings_from(arguments)
    planned = _planned(settings)
    if arguments.format == "text":
        print(dag_table(planned.plans))
    elif arguments.format == "json":
        print(json.dumps(dag_rows(planned.plans), indent=2))
    else:
        print(json.dumps(meltano_listing(planned.project), indent=2))
    return _all_run(planned)


def _find_plan(planned: PlannedProject, name: str) -> DagPlan:
    found = [plan for plan in planned.plans if name in (plan.job, plan.dag_id)]
    if found:
        return found[0]
    project = planned.project
    if project and name in [job.name for job in project.jobs]:
        hint = "`meltano-dags check` says what is wrong"
        raise UsageError(f"job {name!r} is for other environments, or cannot run; {hint}")
    hint = guess(name, [plan.job for plan in planned.plans], "`meltano-dags list` lists all jobs")
    raise UsageError(f"no job is named {name!r}; {hint}")


def _show(arguments: argparse.Namespace) -> bool:
    settings = settings_from(arguments)
    planned = _planned(settings)
    plan = _find_plan(planned, arguments.job)
    why = planned.option_sources(plan) if arguments.why else None
    now, root = datetime.now(UTC), settings.project_root
    print(describe_dag(plan, now, why, root, settings.image))
    return True


def _schema(_: argparse.Namespace) -> bool:
    from dag_factory.cli.json_schema import project_schema  # noqa: PLC0415 - only this command needs it

    print(json.dumps(project_schema(), indent=2))
    return True


def _graph(arguments: argparse.Namespace) -> bool:
    from dag_factory.cli.graph import as_mermaid, as_picture  # noqa: PLC0415 - only this command needs it

    settings = settings_from(arguments)
    planned = _planned(settings)
    plans = (_find_plan(planned, arguments.job),) if arguments.job else planned.plans
    suffix = arguments.output.suffix[1:] if arguments.output else ""
    kind = arguments.format or (suffix if suffix in ("svg", "png") else "mermaid")
    if kind == "mermaid":
        drawn = f"{as_mermaid(plans)}\n".encode()
    else:
        try:
            drawn = as_picture(plans, kind)
        except ImportError:
            msg = "pictures need an extra: pip install 'meltano-dag-factory[graph]'"
            raise UsageError(msg) from None
    if arguments.output:
        arguments.output.write_bytes(drawn)
    elif kind == "png" and sys.stdout.isatty():
        raise UsageError("a terminal cannot show a PNG: name a file with --output")
    else:
        sys.stdout.buffer.write(drawn)
        sys.stdout.flush()
    return _all_run(planned)
