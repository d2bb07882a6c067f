"""Mistakes as users make them: projects in `bad_projects/`, each with what is said of it.

A folder is named for the code that it shows. A first line `# MELTANO_ENVIRONMENT=prod` chooses the
environment. To renew all `expected.txt`, and read what changed:

    python -m tests.problems.test_golden_problems && git diff tests/problems/bad_projects
"""

import os
import re
import tempfile
from difflib import unified_diff
from importlib.metadata import version
from pathlib import Path

import pytest

from dag_factory.checks.reporting import as_text
from dag_factory.errors import Code, in_order
from dag_factory.planning.planned_project import check_project
from dag_factory.settings import Settings

FOLDERS = sorted(path for path in Path(__file__).parent.glob("bad_projects/*") if path.is_dir())


def said_of(folder):
    """Return all problems of a project, also those that only Airflow finds."""
    from dag_factory.airflow.build import build_dags  # noqa: PLC0415 - Airflow writes files when imported
    from dag_factory.cli.check_pod_keys import pod_problems  # noqa: PLC0415 - 1 s

    first_line = (folder / "meltano.yml").read_bytes().partition(b"\n")[0].decode()
    chosen = re.fullmatch(r"# MELTANO_ENVIRONMENT=(\w+)", first_line)
    settings = Settings(folder, chosen and chosen[1])
    planned = check_project(settings)
    _, unbuilt = build_dags(planned.plans, settings)
    of_pods = pod_problems(planned)
    text = as_text(in_order((*planned.problems, *unbuilt, *of_pods)), folder) + "\n"
    return text.replace(version("meltano"), "<installed>").replace(str(folder), "<project>")


# `check --airflow` finds these; tests/platform/e2e/test_check.py has them.
ONLY_A_RUNNING_AIRFLOW_KNOWS = {
    Code.MISSING_TIMETABLE,
    Code.UNKNOWN_POOL,
    Code.UNKNOWN_NOTIFIER,
    Code.MISSING_CONNECTION,
}


def test_every_code_has_a_project():
    shown = {folder.name.partition("-")[0] for folder in FOLDERS}
    assert shown == set(Code) - ONLY_A_RUNNING_AIRFLOW_KNOWS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_mistake_is_said_as_written_beside_it(folder):
    said = said_of(folder)
    assert folder.name.partition("-")[0] in said
    expected = (folder / "expected.txt").read_text(encoding="utf-8")
    lines = [text.splitlines(keepends=True) for text in (expected, said)]
    if difference := "".join(unified_diff(*lines, "expected.txt", "said")):
        pytest.fail(f"{folder.name}\n{difference}", pytrace=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        for each in FOLDERS:
            (each / "expected.txt").write_text(said_of(each), encoding="utf-8")
