"""Public Meltano projects, read as Meltano's own listings of them say.

The projects are not part of this repository: they are looked for in `../shared/corpus`, each with
the output of `meltano job list` and `meltano schedule list` in `.oracle/`.
"""

import json

import pytest
from running import CHECKOUT

from dag_factory.project import read_project

CORPUS = CHECKOUT.parent / "shared/corpus"
PROJECTS = sorted(folder.parent for folder in CORPUS.glob("*/.oracle"))


def listing(root, name):
    """Return one of Meltano's listings, or None where Meltano failed."""
    if (root / f".oracle/{name}.rc").read_text().strip() != "0":
        return None
    return json.loads((root / f".oracle/{name}.json").read_text())[name]


def split(tasks):
    """Split tasks into blocks as `meltano run` does."""
    items = (item if isinstance(item, list) else [item] for item in tasks)
    return tuple(tuple(block for text in item for block in text.split(" ")) for item in items)


def test_there_are_projects_to_compare_with_or_the_run_says_so():
    if not CORPUS.exists():
        pytest.skip("no ../shared/corpus with public Meltano projects")
    assert PROJECTS


@pytest.mark.parametrize("root", PROJECTS, ids=lambda root: root.name)
def test_a_public_project_has_the_jobs_and_schedules_that_meltano_lists(root):
    jobs, schedules = listing(root, "jobs"), listing(root, "schedules")
    project, problems = read_project(root)
    said = "\n".join(problem.text(root) for problem in problems)
    if jobs is None and schedules is None:
        assert problems
        return
    ours = {job.name: job.items for job in project.jobs}
    for job in jobs:
        if job["job_name"] in ours:
            assert ours[job["job_name"]] == split(job["tasks"])
        else:
            assert repr(job["job_name"]) in said
    assert len(ours) <= len(jobs)
    if schedules is None:
        assert problems
        return
    mine = {each.name: each for each in project.schedules}
    for schedule in schedules["job"]:
        if schedule["name"] in mine:
            found = mine[schedule["name"]]
            assert found.job == schedule["job"]["name"]
            assert found.cron == schedule["cron_interval"]
            assert dict(found.env) == schedule["env"]
        else:
            assert repr(schedule["name"]) in said
    assert len(mine) <= len(schedules["job"])
