import pytest

from dag_factory.errors import Code
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems

TASKS = {"a": "dbt", "b": "dbt:run", "c": "dbt:test", "d": "dbt:seed"}


def plans(write_project, **after):
    jobs = [
        f"- {{name: {job}, tasks: ['{task}'], annotations: {{airflow: {{{after.get(job, '')}}}}}}}"
        for job, task in TASKS.items()
    ]
    root = write_project("\n".join(["jobs:", *jobs, ""]))
    found, problems = plans_and_problems(Settings(root, dag_id_prefix="x_"))
    return {plan.job: plan for plan in found}, problems


def test_a_job_runs_after_the_dags_of_other_jobs(write_project):
    found, problems = plans(write_project, c="after: [a, b]", d="after: {any: [a, c]}")
    assert not problems
    assert (found["c"].after.jobs, found["c"].after.any) == (("x_a", "x_b"), False)
    assert (found["d"].after.jobs, found["d"].after.any) == (("x_a", "x_c"), True)


def test_a_job_that_is_not_for_here_is_left_out_of_the_condition(write_project):
    found, problems = plans(
        write_project, a="environments: [prod]", c="after: [a, b]", d="after: a"
    )
    assert not problems
    assert found["c"].after.jobs == ("x_b",)
    assert found["d"].after is None


def test_an_unknown_job_leaves_out_the_one_that_names_it(write_project):
    found, (problem,) = plans(write_project, d="after: [a, z]")
    assert "d" not in found
    assert (problem.code, problem.location.line) == (Code.INVALID_OPTION, 5)


@pytest.mark.parametrize(
    ("after", "circle", "left"),
    [
        ({"a": "after: a"}, "a after a", "bcd"),
        ({"a": "after: b", "b": "after: a"}, "a after b after a", "cd"),
        ({"c": "after: b", "b": "after: d", "d": "after: c"}, "b after d after c after b", "a"),
        ({"d": "after: a", "a": "after: b", "b": "after: a"}, "a after b after a", "cd"),
    ],
)
def test_jobs_in_a_circle_are_left_out_and_named_in_order(write_project, after, circle, left):
    found, (problem,) = plans(write_project, **after)
    assert problem.message.endswith(circle)
    assert "".join(found) == left


def test_who_runs_after_a_job_that_cannot_run_waits_for_it(write_project):
    root = write_project(
        """
        jobs:
        - {name: broken, tasks: [dbtt]}
        - {name: good, tasks: [dbt]}
        - {name: later, tasks: [dbt:run], annotations: {airflow: {after: [broken, good]}}}
        """
    )
    found, problems = plans_and_problems(Settings(root))
    assert len(problems) == 1
    assert found[1].after.jobs == ("broken", "good")


def test_each_circle_is_named(write_project):
    _, problems = plans(write_project, a="after: b", b="after: a", c="after: d", d="after: c")
    assert len(problems) == 2


def test_a_schedule_of_the_older_form_can_be_waited_for(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt], annotations: {airflow: {after: old}}}]
        schedules:
        - {name: old, extractor: tap-a, loader: target-x, transform: skip, interval: '@daily'}
        """
    )
    found, problems = plans_and_problems(Settings(root))
    assert not problems
    assert found[0].after.jobs == ("old",)
