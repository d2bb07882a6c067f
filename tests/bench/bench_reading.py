"""How much cheaper reading a project is than asking Meltano, and a kept plan than reading.

Run by `make bench`. CPU time of this process and its children, the least of some runs; ratios are
what to compare between machines.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from ruamel.yaml import YAML

from dag_factory.airflow.plan_cache import recall_plans
from dag_factory.meltano_yaml.includes import read_yaml_file
from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings

JOBS = 300
RUNS = 5
HEAD = """
project_id: bench
default_environment: dev
environments: [{name: dev}]
plugins:
  loaders:
  - {name: target-x, namespace: target_x, settings: [{name: password, kind: password}]}
  extractors:
"""
PLUGIN = """  - name: tap-{n}
    namespace: tap_{n}
    config: {{start_date: '2024-01-01', host: db{n}.example.com, table: table_{n}}}
    select: [orders.*, customers.*, '!customers.mail']
"""
JOB = """- name: job_{n}
  tasks: [tap-{n} target-x]
  annotations: {{airflow: {{tags: [sales], retries: 3, retry_delay: 10m}}}}
"""
SCHEDULE = "- {{name: nightly_{n}, job: job_{n}, interval: '{minute} 3 * * *'}}\n"


def project(root: Path) -> Path:
    parts = [HEAD, *(PLUGIN.format(n=n) for n in range(JOBS))]
    parts += ["jobs:\n", *(JOB.format(n=n) for n in range(JOBS))]
    parts += ["schedules:\n", *(SCHEDULE.format(n=n, minute=n % 60) for n in range(JOBS))]
    (root / "meltano.yml").write_text("".join(parts))
    return root


def spent() -> float:
    usages = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usages)


def cpu(what: Callable[[], object]) -> float:
    """Return the least CPU seconds of some runs, those of child processes included."""
    found = []
    for _ in range(RUNS):
        before = spent()
        what()
        found.append(spent() - before)
    return min(found)


def command(root: Path, *argv: str) -> Callable[[], object]:
    environ = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    return lambda: subprocess.run(
        argv, cwd=root, env=environ, check=True, capture_output=True, stdin=subprocess.DEVNULL
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = project(Path(folder))
        kept = Settings(root, state_dir=root / "state")
        recall_plans(kept, keep=True)
        whats: dict[str, Callable[[], object]] = {
            "recall the kept plan": lambda: recall_plans(kept, keep=True),
            "read meltano.yml": lambda: read_yaml_file(root / "meltano.yml"),
            "read and plan the project": lambda: check_project(Settings(root)),
            "meltano-dags list": command(root, "meltano-dags", "list"),
            "ruamel.yaml, as Meltano": lambda: YAML().load(root / "meltano.yml"),
            "meltano schedule list": command(root, "meltano", "schedule", "list", "--format=json"),
        }
        measured = {name: cpu(what) for name, what in whats.items()}
    print(f"{JOBS} jobs: CPU seconds, and times the first")
    least = min(measured.values())
    for name, seconds in measured.items():
        print(f"{name:28} {seconds:7.3f} {seconds / least:7.1f}")


if __name__ == "__main__":
    main()
