"""What a run of a task gets, by what started it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.expectations import Bounds, Expectation
from dag_factory.options.values import Secrets
from dag_factory.planning.plan import SchedulePlan, SecretPlan, TaskKind
from dag_factory.runners.prepare import prepare_run
from tests.support.plans import PLAN

AGE = timedelta(hours=26)
TICK = datetime(2026, 11, 2, tzinfo=UTC)
RUN_ID = UUID("01999999-0000-7000-8000-000000000001")
HOURLY = SchedulePlan("hourly", "0 * * * *", "UTC", {"FULL": "no", "HOURLY": "1"})
NIGHTLY = SchedulePlan("nightly", "0 0 * * *", "UTC", {"FULL": "yes"})
BY_HAND = SchedulePlan("by hand", None, "UTC", {"FULL": "by hand"})
JOB = replace(PLAN, schedules=(HOURLY, NIGHTLY, BY_HAND))


def prepared(run_type, start=TICK, end=TICK, *, plan=JOB, task=PLAN.tasks[0], conf=None, **params):
    dag_run = SimpleNamespace(
        run_type=run_type,
        dag_id="load",
        run_id="r1",
        logical_date=end,
        data_interval_start=start,
        data_interval_end=end,
        conf=conf,
    )
    task_instance = SimpleNamespace(id=RUN_ID, dag_id="load", task_id="t", try_number=2)
    context = {
        "dag_run": dag_run,
        "ti": task_instance,
        "task_instance": task_instance,
        "params": params,
    }
    return prepare_run(plan, task, context)


def at(hour, day=2):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def test_a_run_knows_where_it_belongs():
    variables = prepared("manual", None, None).variables
    assert variables["MELTANO_JOB_TRIGGER"] == "airflow:load/r1"
    assert variables["MELTANO_RUN_ID"] == str(RUN_ID)
    assert variables["AIRFLOW_CTX_DAG_ID"] == "load"
    assert variables["AIRFLOW_CTX_DAG_RUN_ID"] == "r1"
    assert variables["AIRFLOW_CTX_TASK_ID"] == "t"
    assert variables["AIRFLOW_CTX_TRY_NUMBER"] == "2"
    assert "AIRFLOW_CTX_DATA_INTERVAL_START" not in variables
    assert prepared("scheduled").variables["AIRFLOW_CTX_LOGICAL_DATE"] == TICK.isoformat()


def test_a_scheduled_run_gets_the_env_of_the_schedules_that_it_serves_in_their_order():
    nightly = prepared("scheduled", at(23, 1), at(0)).variables
    assert (nightly["FULL"], nightly["HOURLY"]) == ("yes", "1")
    hourly = prepared("scheduled", at(0), at(1)).variables
    assert hourly["FULL"] == "no"


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (at(0), at(1), "2026-11-02T00:00:00Z"),
        (at(23, 1), at(0), "2026-11-01T00:00:00Z"),
        (at(0), at(0), "2026-11-01T00:00:00Z"),
        (at(3), at(3), "2026-11-02T02:00:00Z"),
    ],
)
def test_the_interval_begins_with_the_previous_tick_of_the_schedule(start, end, told):
    variables = prepared("scheduled", start, end).variables
    assert variables["AIRFLOW_CTX_DATA_INTERVAL_START"] == told
    assert variables["AIRFLOW_CTX_DATA_INTERVAL_END"] == f"{end:%Y-%m-%dT%H:%M:%SZ}"
    assert "TAP_A_START_DATE" not in variables


def test_a_backfill_loads_its_window_and_leaves_the_bookmarks_alone():
    variables = prepared("backfill", at(0), at(0)).variables
    assert variables["MELTANO_RUN_STATE_ID_SUFFIX"] == "backfill"
    assert variables["MELTANO_RUN_NO_STATE_UPDATE"] == "true"
    assert variables["TAP_A_START_DATE"] == "2026-11-01T00:00:00Z"
    assert variables["TAP_A_END_DATE"] == "2026-11-02T00:00:00Z"


def test_a_backfill_of_the_older_form_has_a_state_id_of_its_own():
    task = replace(PLAN.tasks[0], kind=TaskKind.ELT, arguments=("--state-id=nightly",))
    run = prepared("backfill", task=task)
    assert run.argv[-1] == "--state-id=nightly.backfill"
    assert run.variables["MELTANO_RUN_FULL_REFRESH"] == "true"
    argv = ("meltano", "elt", "--no-install", "tap-a", "target-x", "--state-id=nightly")
    assert prepared("scheduled", task=task).argv == argv


def test_a_tick_of_a_schedule_that_was_edited_since_keeps_its_env_and_an_interval():
    plan = replace(JOB, schedules=(replace(NIGHTLY, cron="0 3 * * *"),))
    variables = prepared("scheduled", at(2), at(2), plan=plan).variables
    assert variables["FULL"] == "yes"
    assert variables["AIRFLOW_CTX_DATA_INTERVAL_START"] == "2026-11-01T03:00:00Z"


def test_a_default_of_the_form_stands_behind_the_env_of_a_schedule_and_a_choice_before_it():
    own = {"FULL": {"type": "string", "default": "default"}}
    plan = replace(JOB, options=DagOptions(params=own))
    assert prepared("manual", plan=plan, FULL="default").variables["FULL"] == "default"
    chosen = prepared("manual", plan=plan, schedule="nightly", FULL="default")
    assert chosen.variables["FULL"] == "yes"
    chosen = prepared("manual", plan=plan, schedule="nightly", FULL="mine")
    assert chosen.variables["FULL"] == "mine"


def test_the_window_of_a_backfill_goes_before_the_form():
    own = {"TAP_A_START_DATE": {"type": "string", "default": "2020-01-01"}}
    plan = replace(JOB, options=DagOptions(params=own))
    variables = prepared("backfill", plan=plan, TAP_A_START_DATE="2021-01-01").variables
    assert variables["TAP_A_START_DATE"] == "2026-11-01T00:00:00Z"


def test_a_field_that_there_is_not_fails_the_task_at_once():
    with pytest.raises(AirflowFailException, match="did you mean 'full_refresh'"):
        prepared("manual", conf={"full_refersh": True})


def test_a_backfill_may_have_another_suffix_but_never_none():
    assert prepared("backfill", state_id_suffix="again").variables[
        "MELTANO_RUN_STATE_ID_SUFFIX"
    ] == "again"  # fmt: skip
    variables = prepared("backfill", state_id_suffix=None, no_state_update=False).variables
    assert variables["MELTANO_RUN_STATE_ID_SUFFIX"] == "backfill"
    assert variables["MELTANO_RUN_NO_STATE_UPDATE"] == "true"


def test_a_run_by_hand_has_the_env_of_no_schedule_unless_one_is_chosen():
    assert "FULL" not in prepared("manual").variables
    assert prepared("manual", schedule="nightly").variables["FULL"] == "yes"
    assert prepared("manual", schedule="by hand").variables["FULL"] == "by hand"
    assert "FULL" not in prepared("asset_triggered", None, None).variables


def test_the_form_wins_over_the_env_of_a_schedule():
    schedule = replace(HOURLY, env={"MELTANO_CLI_LOG_LEVEL": "info"})
    plan = replace(JOB, schedules=(schedule,))
    variables = prepared("manual", plan=plan, schedule="hourly", log_level="debug").variables
    assert variables["MELTANO_CLI_LOG_LEVEL"] == "debug"


def test_a_dry_run_explains_the_whole_job():
    run = prepared("manual", dry_run=True)
    blocks = ("tap-a", "target-x", "dbt:run")
    assert run.argv == ("meltano", "run", "--no-install", "--dry-run", *blocks)
    assert run.is_dry
    assert prepared("manual").argv == PLAN.tasks[0].argv
    assert not prepared("manual").is_dry


AGED = replace(PLAN.tasks[0], options=TaskOptions(expect=Expectation(Bounds(max_age=AGE))))
STATE_ID = "dev:tap-a-to-target-x"


@pytest.mark.parametrize(
    ("params", "bookmarked"),
    [
        ({}, (STATE_ID,)),
        ({"state_id_suffix": "again"}, (f"{STATE_ID}:again",)),
        ({"state_id_suffix": ""}, (STATE_ID,)),
        ({"state_id_suffix": None}, (STATE_ID,)),
        ({"no_state_update": True}, ()),
        ({"dry_run": True}, ()),
    ],
)
def test_bookmarks_are_looked_at_where_the_run_writes_them(params, bookmarked):
    assert prepared("manual", task=AGED, **params).bookmarked == bookmarked


def test_a_suffix_of_the_run_goes_before_that_of_the_environment():
    task = replace(AGED, state_ids=(f"{STATE_ID}:v2", "dev:tap-b-to-target-x:v2"))
    assert prepared("manual", task=task).bookmarked == task.state_ids
    found = prepared("manual", task=task, state_id_suffix="again").bookmarked
    assert found == (f"{STATE_ID}:again", "dev:tap-b-to-target-x:again")


def test_the_older_form_has_the_state_id_of_its_name_whatever_the_suffix():
    task = replace(AGED, kind=TaskKind.ELT, state_ids=("nightly",))
    assert prepared("manual", task=task, state_id_suffix="again").bookmarked == ("nightly",)


def test_bookmarks_are_looked_at_only_where_an_age_is_expected():
    options = TaskOptions(expect=Expectation(Bounds(1)))
    task = replace(PLAN.tasks[0], options=options)
    assert prepared("manual", task=task).bookmarked == ()
    assert prepared("manual").bookmarked == ()
    backfill = prepared("backfill", task=AGED)
    assert (backfill.bookmarked, backfill.expect) == ((), None)


def test_a_run_carries_what_an_image_is_compared_by_unless_it_is_dry():
    task = replace(PLAN.tasks[0], digest="0123")
    plan = replace(JOB, tasks=(task,))
    assert prepared("manual", plan=plan, task=task).digest == "0123"
    dry = prepared("manual", plan=plan, task=task, dry_run=True)
    assert dry.digest == ""


@pytest.mark.parametrize("is_dry", [False, True])
@pytest.mark.parametrize(
    ("options", "reads"),
    [
        (TaskOptions(), True),
        (TaskOptions(runner="kubernetes"), True),
        (TaskOptions(secrets=Secrets(mode="k8s")), True),
        (TaskOptions(secrets=Secrets(mode="k8s"), runner="kubernetes"), False),
    ],
)
def test_a_run_reads_secrets_unless_kubernetes_hands_them_to_its_pod(options, reads, is_dry):
    secrets = (SecretPlan(("acme/dev/meltano/tap-a",), of_plugin=True),)
    task = replace(PLAN.tasks[0], sensitive=("TAP_A_K",), secrets=secrets, options=options)
    run = prepared("manual", plan=replace(JOB, tasks=(task,)), task=task, dry_run=is_dry)
    assert (run.sensitive, run.secrets) == (("TAP_A_K",), secrets if reads else ())
