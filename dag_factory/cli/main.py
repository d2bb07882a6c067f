"""`meltano-dags`: what Airflow will see, without Airflow."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from termcolor import colored

from dag_factory.checks.reporting import FORMATS, excerpts, tell_wrong
from dag_factory.cli.listing import dag_rows, dag_table, describe_dag, meltano_listing
from dag_factory.cli.secrets.commands import add_commands
from dag_factory.errors import (
    Code,
    Problem,
    SecretsError,
    SettingsError,
    Severity,
    UsageError,
    counted,
    guess,
    in_order,
)
from dag_factory.planning.plan import DagPlan
from dag_factory.planning.planner import option_sources, read_plans
from dag_factory.project.model import read_project
from dag_factory.settings import Settings, read_settings

_FAILED = 1
_USAGE_ERROR = 2
_UNBUILT = (Code.DAG_NOT_BUILT, Code.WRONG_ARGUMENT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        1 where a job cannot run, `check` finds a secret in clear, or `secrets` one that is missing;
        2 where the call is wrong; 69 or 78 where AWS cannot be asked for secrets.
    """
    arguments = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(arguments.run(arguments))
    except (UsageError, SettingsError) as error:
        print(f"meltano-dags: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except SecretsError as error:
        print(f"meltano-dags: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except OSError as error:
        print(f"meltano-dags: {error}", file=sys.stderr)
        return _USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="meltano-dags", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--environment", help="the Meltano environment (MELTANO_ENVIRONMENT)")
    shared.add_argument(
        "--project",
        type=Path,
        help="the folder that holds meltano.yml (default: MELTANO_PROJECT_ROOT, or here)",
    )
    shared.add_argument(
        "--dag-id-prefix", default="", help="what begins each DAG id, as in the DAG file"
    )
    shared.add_argument(
        "--dag-id-template",
        default="{job}",
        help="each DAG id, by {job}, {schedule} and {environment} (default: %(default)s)",
    )
    check = commands.add_parser("check", parents=[shared], help="say what is wrong, and where")
    check.add_argument("--format", choices=list(FORMATS), default="text")
    check.add_argument(
        "--airflow",
        action="store_true",
        help="look also for what only Airflow knows: pools, connections, plugins, notifiers",
    )
    check.set_defaults(run=_check)
    listing = commands.add_parser("list", parents=[shared], help="list the DAGs and their tasks")
    listing.add_argument("--format", choices=["text", "json", "meltano"], default="text")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", parents=[shared], help="tell everything about one job")
    show.add_argument("job", help="the name of the job, or its DAG id")
    show.add_argument("--why", action="store_true", help="say where each option comes from")
    show.set_defaults(run=_show)
    schema = commands.add_parser("schema", help="print the JSON Schema of meltano.yml, for editors")
    schema.set_defaults(run=_schema)
    graph = commands.add_parser("graph", parents=[shared], help="draw what runs after what")
    graph.add_argument("job", nargs="?", help="one job (default: all)")
    graph.add_argument(
        "--format",
        choices=["mermaid", "svg", "png"],
        help="default: by the name of the output, or mermaid",
    )
    graph.add_argument("--output", type=Path, help="the file to write (default: standard output)")
    graph.set_defaults(run=_graph)
    secrets = commands.add_parser("secrets", help="look after what stands in AWS Secrets Manager")
    add_commands(secrets, shared)
    secrets.set_defaults(run=_secrets)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    chosen = {
        "MELTANO_ENVIRONMENT": arguments.environment,
        "MELTANO_PROJECT_ROOT": arguments.project,
    }
    given = {name: str(value) for name, value in chosen.items() if value}
    settings = read_settings(
        dag_id_prefix=arguments.dag_id_prefix,
        dag_id_template=arguments.dag_id_template,
        environ={"MELTANO_PROJECT_ROOT": str(Path.cwd())} | os.environ | given,
    )
    if not os.path.lexists(settings.project_root / "meltano.yml"):
        raise UsageError(_no_project(settings.project_root, arguments.project))
    return settings


def _no_project(root: Path, given: Path | None) -> str:
    if given:
        hint = "name the folder, not the file" if given.is_file() else "name the folder that does"
        return f"--project {given} holds no meltano.yml: {hint}"
    if os.environ.get("MELTANO_PROJECT_ROOT"):
        return f"MELTANO_PROJECT_ROOT names {root}, which holds no meltano.yml: correct it"
    guess = "meltano" if (root / "meltano/meltano.yml").is_file() else "FOLDER"
    return f"there is no meltano.yml here: write --project {guess}"


def _check(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    plans, problems = read_plans(settings)
    if arguments.airflow:
        problems = in_order((*problems, *_airflow_problems(plans, settings)))
    text = arguments.format == "text"
    if text:
        for problem, excerpt in zip(
            problems, excerpts(problems, settings.project_root), strict=True
        ):
            print(_in_color(excerpt, problem))
    elif shown := FORMATS[arguments.format](problems, settings.project_root):
        print(shown)
    failing = sum(each.fails_check for each in problems)
    if text:
        fatal = any(problem.severity is Severity.PROJECT for problem in problems)
        unbuilt = [each for each in problems if each.code in _UNBUILT]
        dags = 0 if fatal else len(plans) - len(unbuilt)
        counts = {"DAG": dags, "problem": failing, "warning": len(problems) - failing}
        print(", ".join(counted(number, noun) for noun, number in counts.items()))
    return _FAILED if failing else 0


def _airflow_problems(plans: tuple[DagPlan, ...], settings: Settings) -> tuple[Problem, ...]:
    try:
        from dag_factory.cli.check_airflow import airflow_problems  # noqa: PLC0415 - imports Airflow
    except ImportError:
        msg = "--airflow needs Airflow: pip install 'meltano-dag-factory[airflow]'"
        raise UsageError(msg) from None
    return airflow_problems(plans, settings)


def _in_color(shown: str, problem: Problem) -> str:
    first, *rest = shown.split("\n")
    code = str(problem.code)
    painted = first.replace(code, colored(code, "red" if problem.fails_check else "yellow"), 1)
    return "\n".join([painted, *rest])


def _planned(settings: Settings) -> tuple[tuple[DagPlan, ...], bool]:
    """Return the plans, and whether all is well; name beside the output what cannot run."""
    plans, problems = read_plans(settings)
    return plans, not tell_wrong(problems, settings.project_root)


def _list(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    plans, good = _planned(settings)
    if arguments.format == "text":
        print(dag_table(plans))
    elif arguments.format == "json":
        print(json.dumps(dag_rows(plans), indent=2))
    else:
        project, _ = read_project(settings.project_root)
        print(json.dumps(meltano_listing(project), indent=2))
    return 0 if good else _FAILED


def _chosen(plans: Sequence[DagPlan], name: str, settings: Settings) -> DagPlan:
    found = [plan for plan in plans if name in (plan.job, plan.dag_id)]
    if found:
        return found[0]
    project, _ = read_project(settings.project_root)
    if project and name in [job.name for job in project.jobs]:
        msg = f"the job {name!r} is for other environments, or cannot run (`meltano-dags check`)"
        raise UsageError(msg)
    hint = guess(name, [plan.job for plan in plans], "`meltano-dags list` has all")
    raise UsageError(f"there is no job {name!r}; {hint}")


def _show(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    plans, _ = _planned(settings)
    plan = _chosen(plans, arguments.job, settings)
    why = option_sources(settings)(plan) if arguments.why else None
    now, root = datetime.now(UTC), settings.project_root
    print(describe_dag(plan, now, why, root, settings.image))
    return 0


def _secrets(arguments: argparse.Namespace) -> int:
    return int(arguments.run_secrets(arguments, _settings(arguments)))


def _schema(_: argparse.Namespace) -> int:
    from dag_factory.cli.json_schema import project_schema  # noqa: PLC0415 - only this command needs it

    print(json.dumps(project_schema(), indent=2))
    return 0


def _graph(arguments: argparse.Namespace) -> int:
    from dag_factory.cli.graph import as_mermaid, as_picture  # noqa: PLC0415 - as above

    settings = _settings(arguments)
    plans, good = _planned(settings)
    if arguments.job:
        plans = (_chosen(plans, arguments.job, settings),)
    suffix = arguments.output.suffix[1:] if arguments.output else ""
    kind = arguments.format or (suffix if suffix in ("svg", "png") else "mermaid")
    if kind == "mermaid":
        drawn = f"{as_mermaid(plans)}\n".encode()
    else:
        try:
            drawn = as_picture(plans, kind)
        except ImportError:
            msg = "pictures need the extra: pip install 'meltano-dag-factory[graph]'"
            raise UsageError(msg) from None
    if arguments.output:
        arguments.output.write_bytes(drawn)
    elif kind == "png" and sys.stdout.isatty():
        raise UsageError("a PNG is no text: name a file with --output")
    else:
        sys.stdout.buffer.write(drawn)
        sys.stdout.flush()
    return 0 if good else _FAILED


if __name__ == "__main__":
    sys.exit(main())
