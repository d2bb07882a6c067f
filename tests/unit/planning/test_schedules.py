import json
import subprocess
import sys

import pytest

from dag_factory.cron import INTERVALS
from dag_factory.errors import Code
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems


@pytest.mark.parametrize(
    ("interval", "cron"),
    [
        ("'@once'", None),
        ("'@manual'", None),
        ("null", None),
        ("''", None),
        ("'@weekly'", "0 0 * * 0"),
        ("0 6 * * 1-5", "0 6 * * 1-5"),
    ],
)
def test_an_interval_means_what_meltano_means(write_project, interval, cron):
    root = write_project(
        f"""
        jobs: [{{name: j, tasks: [tap-a target-x]}}]
        schedules: [{{name: s, job: j, interval: {interval}}}]
        """
    )
    (dag,), problems = plans_and_problems(Settings(root))
    assert not problems
    assert dag.schedules[0].cron == cron


def test_the_words_are_meltanos():
    # Meltano sets up logging when it is imported.
    code = (
        "import json; from meltano.core.schedule import CRON_INTERVALS as c; print(json.dumps(c))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert json.loads(said) == INTERVALS


@pytest.mark.parametrize(
    "interval",
    [
        "'61 * * * *'",
        "every day",
        "5",
        "'* * * * * *'",
        "'@Daily'",
        "[1]",
        "'0 0 31 2 x'",
        "'0 0 31 2 *'",
        "'R R * * *'",
        "'H 0 * * *'",
    ],
)
def test_an_interval_that_airflow_would_refuse_leaves_the_schedule_out(write_project, interval):
    root = write_project(
        f"""
        jobs: [{{name: j, tasks: [tap-a target-x]}}]
        schedules:
        - {{name: bad, job: j, interval: {interval}}}
        - {{name: good, job: j, interval: '@daily'}}
        """
    )
    (dag,), (problem,) = plans_and_problems(Settings(root))
    assert problem.code is Code.INVALID_INTERVAL
    assert problem.location.line == 4
    assert [each.name for each in dag.schedules] == ["good"]


def test_an_unknown_job_gets_a_guess(write_project):
    root = write_project(
        """
        jobs: [{name: customers, tasks: [tap-a target-x]}]
        schedules: [{name: s, job: custmers, interval: '@daily'}]
        """
    )
    (problem,) = plans_and_problems(Settings(root))[1]
    assert problem.code is Code.UNKNOWN_JOB
    assert "'customers'" in problem.hint


def test_schedule_env_must_be_text(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [tap-a target-x]}]
        schedules: [{name: s, job: j, interval: '@daily', env: {A: 1, B: 'x', C: true}}]
        """
    )
    problems = plans_and_problems(Settings(root))[1]
    assert [each.code for each in problems] == [Code.INVALID_SCHEDULE_ENV] * 2


def test_the_nearest_time_zone_wins(write_project):
    root = write_project(
        """
        annotations: {airflow: {timezone: Europe/Prague}}
        jobs:
        - {name: a, tasks: [dbt]}
        - {name: b, tasks: [dbt:run], annotations: {airflow: {timezone: Asia/Tokyo}}}
        schedules:
        - {name: a1, job: a, interval: '@daily'}
        - {name: b1, job: b, interval: '@daily'}
        - {name: a2, job: a, interval: '@once', annotations: {airflow: {timezone: UTC}}}
        """
    )
    plans, problems = plans_and_problems(Settings(root))
    assert not problems
    zones = {each.name: each.timezone for dag in plans for each in dag.schedules}
    assert zones == {"a1": "Europe/Prague", "b1": "Asia/Tokyo", "a2": "UTC"}


def test_a_schedule_fires_in_its_environments_only(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: often, job: j, interval: '@hourly', annotations: {airflow: {environments: [prod]}}}
        - {name: nightly, job: j, interval: '@daily'}
        """
    )
    crons = {name: plans_and_problems(Settings(root, name))[0][0].crons for name in ("dev", "prod")}
    assert crons == {"dev": ("0 0 * * *",), "prod": ("0 * * * *", "0 0 * * *")}
