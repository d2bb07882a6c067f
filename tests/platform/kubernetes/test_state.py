"""State and locks of the pods' system database, looked after by pods of the same image."""

import pytest

STATE_ID = "kube:tap-quick-to-target-postgres"
COPY = f"{STATE_ID}:copy"
LOCK = """
insert into runs (job_name, run_id, started_at, last_heartbeat_at, state, payload, payload_flags)
select %s, gen_random_uuid(), moment, moment, 'RUNNING', '{}', 0
from (select now() at time zone 'utc' - interval '60 s' as moment) as past
"""


@pytest.fixture(scope="module")
def pods(pods):
    assert pods.start("quick").end() == "success"
    return pods


def test_state_is_copied_and_never_lost_unasked(pods):
    run = pods.start("meltano_state", action="copy", state_id=STATE_ID, target=COPY)
    assert run.end() == "success"
    assert f"{COPY} has the state of {STATE_ID}" in run.log()
    copied = "select count(distinct completed_state) from state where state_id in (%s, %s)"
    assert pods.postgres.query(copied, STATE_ID, COPY) == [(1,)]

    run = pods.start("meltano_state", action="copy", state_id=STATE_ID, target=COPY)
    assert run.end() == "failed"
    assert f"\nNothing was copied: '{COPY}' has state; write it into confirm too" in run.log()
    assert run.task["try_number"] == 1


def test_the_lock_of_a_run_that_is_dead_is_released(pods):
    pods.postgres.query(LOCK, "dead")
    run = pods.start("meltano_state", action="release_lock", state_id="dead")
    assert run.end() == "success"
    assert "'dead' is free: its run of " in run.log()
    states = "select state from runs where job_name = %s"
    assert pods.postgres.query(states, "dead") == [("FAIL",)]
