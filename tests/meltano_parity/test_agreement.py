"""Generated projects mean to us what they mean to Meltano itself.

`AGREEMENT_EXAMPLES=5000` tries more of them than the ordinary run does.
"""

import json
import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from dag_factory.cli.listing import meltano_listing
from dag_factory.errors import Code, Severity
from dag_factory.planning.planned_project import plan_project
from dag_factory.project.model import read_project
from dag_factory.settings import Settings
from tests.support.meltano_oracle import Meltano, RefusedError, Run
from tests.support.meltano_projects import listed_projects, written
from tests.support.meltano_runs import runnable_projects

EXAMPLES = int(os.environ.get("AGREEMENT_EXAMPLES", "100"))
RUN = ("meltano", "run", "--no-install")
ELT = ("meltano", "elt", "--no-install")
# What Meltano finds out only when it has started the plugin.
OURS_ONLY = {Code.UNKNOWN_COMMAND}

thorough = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def answer(ask, *names):
    """Return Meltano's answer, or the reason why it has none."""
    try:
        return ask(*names)
    except RefusedError as error:
        return error


def same(ours, theirs):
    assert json.dumps(ours, indent=1) == json.dumps(theirs, indent=1)


@given(listed_projects())
@thorough
def test_we_list_what_meltano_lists_and_refuse_what_it_refuses(files):
    with written(files) as root:
        project, problems = read_project(root)
        fatal = [each.text(root) for each in problems if each.severity is Severity.PROJECT]
        meltano = answer(Meltano, root)
        if isinstance(meltano, RefusedError):
            assert fatal, str(meltano)
            return
        assert not fatal, fatal
        ours = meltano_listing(project)
        for key, theirs in (
            ("jobs", answer(meltano.jobs)),
            ("schedules", answer(meltano.schedules)),
        ):
            # What JSON cannot hold, or a schedule of no job: that one command fails.
            if not isinstance(theirs, RefusedError):
                same(ours[key], theirs)


@given(runnable_projects())
@thorough
def test_our_tasks_put_end_to_end_are_what_meltano_runs(files):
    with written(files) as root:
        meltano = Meltano(root, "dev")
        plans, found = plans_and_problems(root)
        ours_only = {each.message for each in found if each.code in OURS_ONLY}
        for name in {job["job_name"] for job in meltano.jobs()}:
            theirs = answer(meltano.run, name)
            tasks = plans.pop(name, None)
            if tasks is None:
                told = any(repr(name) in message for message in ours_only)
                assert told or isinstance(theirs, RefusedError) or not theirs.blocks, theirs
                continue
            assert not isinstance(theirs, RefusedError), str(theirs)
            assert all(task.argv[:3] == RUN for task in tasks)
            runs = [meltano.run(*task.argv[3:]) for task in tasks]
            assert Run(*map(joined, zip(*map(fields, runs), strict=True))) == theirs
            for task, run in zip(tasks, runs, strict=True):
                assert task.state_ids == tuple(dict.fromkeys(run.state_ids))
        seen = set()
        for schedule in meltano.schedules()["elt"]:
            name = schedule["name"]
            runs = meltano.finds("extractors", schedule["extractor"])
            runs = runs and meltano.finds("loaders", schedule["loader"])
            if name in seen:
                continue
            seen.add(name)
            if not runs:
                assert name not in plans
                continue
            (task,) = plans.pop(name)
            assert task.argv == (*ELT, *schedule["elt_args"])
            assert task.state_ids == (name,)
        assert not plans


def plans_and_problems(root):
    project, problems = read_project(root)
    planned = plan_project(project, Settings(root))
    assert len({plan.dag_id for plan in planned.plans}) == len(planned.plans)
    return {plan.job: plan.tasks for plan in planned.plans}, (*problems, *planned.problems)


def joined(parts):
    return tuple(each for part in parts for each in part)


def fields(run):
    return run.blocks, run.sets, run.state_ids


def outcome_of_load(root):
    meltano = answer(Meltano, root)
    if isinstance(meltano, RefusedError):
        return False
    jobs = answer(meltano.jobs)
    return True if jobs and not isinstance(jobs, RefusedError) else None


def outcome_of_run(root):
    meltano = Meltano(root, "dev")
    for job in meltano.jobs():
        return not isinstance(answer(meltano.run, job["job_name"]), RefusedError)
    return None


@pytest.mark.parametrize(
    ("projects", "outcome"),
    [(listed_projects(), outcome_of_load), (runnable_projects(), outcome_of_run)],
)
def test_the_generated_projects_can_fail_either_way(projects, outcome):
    seen = Counter()

    @given(projects)
    @settings(thorough, max_examples=200)
    def look(files):
        with written(files) as root:
            seen[outcome(root)] += 1

    look()
    assert seen[True] > 20
    assert seen[False] > 20
