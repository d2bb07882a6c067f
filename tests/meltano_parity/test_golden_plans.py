"""Projects in `golden_plans/`, each with the plan that was written down for it by hand.

A plan is told line by line: a DAG and its job, then each task with its command, the state IDs
under which Meltano keeps its bookmarks, and the tasks before it.
"""

import re
from pathlib import Path

import pytest

from dag_factory.planning.planned_project import plan_project
from dag_factory.project.model import read_project
from dag_factory.settings import Settings
from tests.support.meltano_oracle import Meltano

# Each has a namespace, which makes it complete without a lock file; prod has a suffix.
PLUGINS = """
default_environment: dev
environments: [{name: dev}, {name: prod, state_id_suffix: v2}]
plugins:
  extractors:
  - {name: tap-a, namespace: tap_a}
  - {name: tap-b, namespace: tap_b}
  - {name: tap-a-eu, inherit_from: tap-a}
  loaders: [{name: target-x, namespace: target_x}]
  mappers: [{name: mapper, namespace: mapper, mappings: [{name: hide}, {name: hash}]}]
  utilities: [{name: dbt, namespace: dbt, commands: {run: run, test: test}}]
"""

FILES = sorted((Path(__file__).parent / "golden_plans").glob("*.txt"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def golden(request, tmp_path):
    """A project on disk, and its plan."""
    parts = re.split(r"^=== (.*)\n", request.param.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    expected = texts.pop("plan")
    texts["meltano.yml"] += PLUGINS
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path, expected


def plan(root, environment):
    project, problems = read_project(root)
    assert not problems
    return plan_project(project, Settings(root, environment)).plans


def told(plans):
    return "".join(f"{line}\n" for dag in plans for line in told_dag(dag))


def told_dag(dag):
    yield f"{dag.dag_id} of {dag.job}"
    for task in dag.tasks:
        meltano, command, install, *words = task.argv
        assert (meltano, install) == ("meltano", "--no-install")
        yield f"  {task.task_id}: {command} {' '.join(words)}"
        for state_id in task.state_ids:
            yield f"    state {state_id}"
        for other in task.upstream:
            yield f"    after {other}"


def test_there_are_golden_plans():
    assert len(FILES) >= 12


def test_a_project_has_the_plan_written_beside_it(golden):
    root, expected = golden
    assert told(plan(root, "dev")) == expected


def test_in_another_environment_only_the_states_of_jobs_differ(golden):
    root, expected = golden
    assert told(plan(root, "prod")) == re.sub(r"state dev:(.*)", r"state prod:\1:v2", expected)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_meltano_runs_the_same_blocks_in_the_same_order(golden, environment):
    root, _ = golden
    meltano = Meltano(root, environment)
    older = [schedule["name"] for schedule in meltano.schedules()["elt"]]
    for dag in plan(root, environment):
        if dag.job in older:
            continue
        whole = meltano.run(dag.job)
        runs = [meltano.run(*task.argv[3:]) for task in dag.tasks]
        assert sum((run.sets for run in runs), ()) == whole.sets
        assert [run.state_ids for run in runs] == [task.state_ids for task in dag.tasks]
