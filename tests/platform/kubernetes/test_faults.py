"""What happens to tasks in pods when things die: nothing is lost, and nothing stands twice."""

import time

import psutil
import pytest

from tests.support.pods import NO_IMAGE, PREFIX, ROWS
from tests.support.running import wait_until

pytestmark = [
    pytest.mark.faults,
    # Airflow's components are started here, and stopped by pid at the end.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


@pytest.fixture(scope="module")
def killed(pods):
    """A run whose pod was killed, begun before all others: its lock is held for five minutes."""
    pods.cluster.check_is_here()
    run = pods.start("killed")
    run.wait_for_rows("killed")
    commands = ((each, each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"]))
    [task] = [
        each
        for each, words in commands
        if "tap-killed" in words and any(word.endswith("/meltano-task") for word in words)
    ]
    task.kill()
    return run


@pytest.fixture(scope="module")
def pair(pods):
    """Two runs that share a state ID."""
    first = pods.start("first")
    first.wait_for_rows("shared")
    second = pods.start("second")
    wait_until(lambda: second.task["state"] == "up_for_reschedule", 60, "the second to wait")
    return first, second


@pytest.fixture(scope="module")
def begun(pods):
    """Runs that fail with nobody's help, side by side."""
    return {job: pods.start(job) for job in ("greedy", "late", "late_deferred", "evicted")}


@pytest.mark.usefixtures("killed", "pair", "begun")
def test_a_pod_that_is_deleted_while_it_runs(pods):
    run = pods.start("deleted")
    run.wait_for_rows("deleted")
    pods.kubectl("delete", "pods", "--selector=meltano_job=deleted", "--wait=false")
    assert run.end() == "success"
    assert run.task["try_number"] == 2
    assert "Deleted: the pod" in run.log(1)
    assert pods.rows("deleted") == (ROWS, ROWS)
    # Its tap was stopped, what had been read was loaded, and the next try went on from there.
    states = [state for state, _ in pods.meltano_runs("tap-deleted")]
    assert states == ["SUCCESS", "SUCCESS"]


def test_a_pod_that_wants_more_memory_than_it_may_have(pods, begun):
    run = begun["greedy"]
    assert run.end() == "failed"
    assert "OOMKilled: the pod" in run.log()
    assert "its limit of 600Mi; raise `resources: {limits: {memory: ...}}`" in run.log()
    [kept] = pods.of("greedy")
    assert kept["status"]["phase"] == "Failed"
    pods.age_locks("tap-greedy")
    assert pods.start("greedy", TAP_GREEDY_BYTES_PER_ROW="0").end() == "success"
    assert pods.rows("greedy") == (ROWS, ROWS)


def test_tasks_that_are_cleared_while_they_run_start_again(pods):
    schemas = {"cleared": "cleared", "cleared_deferred": "cleared2"}
    runs = {}
    for job, schema in schemas.items():
        runs[job] = pods.start(job)
        runs[job].wait_for_rows(schema)
        runs[job].clear()
    for job, run in runs.items():
        assert run.end() == "success"
        states = [state for state, _ in pods.meltano_runs(f"tap-{schemas[job]}")]
        assert states == ["SUCCESS", "SUCCESS"]
        assert pods.started(job) == 2
        assert pods.rows(schemas[job]) == (ROWS, ROWS)
    assert "Meltano was stopped" in runs["cleared"].log(1)


@pytest.mark.parametrize(
    ("job", "schema", "said"),
    [("late", "late", "Timeout, PID"), ("late_deferred", "late2", "took longer than 0:01:00")],
)
def test_a_task_that_takes_longer_than_it_may(pods, begun, job, schema, said):
    run = begun[job]
    assert run.end() == "failed"
    assert said in run.log()
    wait_until(lambda: not pods.of(job), 60, "the end of the pod")
    assert 0 < pods.bookmark(f"tap-{schema}") <= pods.rows(schema)[0]


def running_task(pods, job) -> psutil.Process:
    """Return the process of a job's task, whose worker writes its log."""
    scheduler = pods.airflow.local.processes()["scheduler"]
    log = f"/dag_id={PREFIX}{job}/"
    [task] = [
        task
        for worker in scheduler.children()
        if any(log in file.path for file in worker.open_files())
        for task in worker.children()
    ]
    return task


def test_a_worker_that_is_asked_to_stop(pods):
    run = pods.start("worker")
    run.wait_for_rows("worker")
    running_task(pods, "worker").terminate()
    assert run.end() == "success"
    assert run.task["try_number"] == 2
    assert "Meltano was stopped" in run.log(1)
    *_, (first, _), (second, _) = pods.meltano_runs("tap-worker")
    assert (first, second) == ("SUCCESS", "SUCCESS")
    assert pods.rows("worker") == (ROWS, ROWS)


def test_a_worker_that_is_killed_finds_its_pod(pods):
    pods.forget("worker")
    run = pods.start("worker_killed")
    run.wait_for_rows("worker")
    running_task(pods, "worker_killed").kill()
    assert run.end() == "success"
    assert run.task["try_number"] == 2
    assert "Reusing existing pod" in run.log(2)
    assert pods.started("worker_killed") == 1
    assert pods.rows("worker") == (ROWS, ROWS)


def test_a_pod_that_is_evicted(begun):
    run = begun["evicted"]
    assert run.end() == "failed"
    assert "Evicted: the pod" in run.log()


def test_a_deferred_task_names_an_image_that_is_not_to_be_had(pods):
    run = pods.start("absent_deferred")
    assert run.end() == "failed"
    assert NO_IMAGE.search(run.log())
    assert "404" not in run.log()
    wait_until(lambda: not pods.of("absent_deferred"), 180, "the end of the pod")


def test_two_jobs_of_one_pair_wait_for_each_other_without_spending_a_try(pods, pair):
    first, second = pair
    assert first.end() == "success"
    assert second.end() == "success"
    assert second.task["try_number"] == 1
    assert "without using a retry" in second.log()
    assert pods.rows("shared") == (ROWS, ROWS)


def test_a_deferred_task_that_is_marked_failed(pods):
    run = pods.start("cancelled")
    run.wait_for_rows("cancelled")
    wait_until(lambda: run.task["state"] == "deferred", 60, "the deferral")
    run.mark("failed")
    wait_until(lambda: not pods.of("cancelled"), 60, "the end of the pod")
    assert run.end() == "failed"
    wait_until(lambda: "Trigger cancelled by user action" in run.log(), 30, "its log")
    assert 0 < pods.bookmark("tap-cancelled") <= pods.rows("cancelled")[0]


def test_a_pod_that_is_killed_waits_for_its_lock_without_spending_a_try(pods, killed):
    assert killed.end(600) == "success"
    assert killed.task["try_number"] == 2
    assert "Meltano was killed by SIGKILL" in killed.log(1)
    assert "without using a retry" in killed.log(2)
    assert pods.rows("killed") == (ROWS, ROWS)
    assert [state for state, _ in pods.meltano_runs("tap-killed")] == ["FAIL", "SUCCESS"]


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(30)


def test_a_triggerer_that_is_killed_takes_its_pods_up_again(pods):
    run = pods.start("triggerer")
    run.wait_for_rows("triggerer")
    local = pods.airflow.local
    wait_until(lambda: run.task["state"] == "deferred", 60, "the deferral")
    kill(local.processes()["triggerer"])
    local.start("triggerer")
    assert pods.phase("triggerer") == "Running"
    assert run.end() == "success"
    assert (run.task["try_number"], pods.started("triggerer")) == (1, 1)
    assert pods.rows("triggerer") == (ROWS, ROWS)


def test_a_triggerer_that_is_away_for_longer_than_the_task_may_take(pods):
    pods.forget("late2")
    run = pods.start("away")
    wait_until(lambda: run.task["state"] == "deferred", 60, "the deferral")
    local = pods.airflow.local
    kill(local.processes()["triggerer"])
    try:
        assert run.end() == "failed"
        wait_until(lambda: not pods.of("away"), 60, "the end of the pod")
    finally:
        local.start("triggerer")


@pytest.fixture
def quick_to_notice(pods):
    """Have the next scheduler look for the tasks of a dead one every 5 seconds, not 5 minutes."""
    file = pods.airflow.home / "airflow.cfg"
    before = file.read_text()
    often = "orphaned_tasks_check_interval = 5"
    file.write_text(before.replace("[scheduler]", f"[scheduler]\n{often}"))
    yield
    file.write_text(before)


def test_a_scheduler_that_is_killed_with_its_workers_finds_the_pod(pods, quick_to_notice):
    run = pods.start("scheduler")
    run.wait_for_rows("scheduler")
    local = pods.airflow.local
    scheduler = local.processes()["scheduler"]
    family = [scheduler, *scheduler.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)
    local.start("scheduler")
    wait_until(lambda: "Reusing existing pod" in run.log(run.task["try_number"]), 120, "a new try")
    assert pods.phase("scheduler") == "Running"
    assert run.end(300) == "success"
    assert pods.started("scheduler") == 1
    assert pods.rows("scheduler") == (ROWS, ROWS)


def test_a_kubelet_that_is_killed_and_comes_back(pods):
    pods.cluster.check_is_here()
    run = pods.start("kubelet")
    run.wait_for_rows("kubelet")
    with pods.cluster.without("kubelet"):
        wait_until(lambda: pods.rows("kubelet")[0] > ROWS // 2, 60, "more rows without a kubelet")
    assert run.end() == "success"
    assert "log read interrupted" in run.log()
    assert pods.started("kubelet") == 1
    assert pods.rows("kubelet") == (ROWS, ROWS)


def test_an_api_server_that_is_away_for_half_a_minute(pods):
    pods.cluster.check_is_here()
    schemas = {"server": "server", "server_deferred": "server2"}
    runs = {job: pods.start(job) for job in schemas}
    for job, run in runs.items():
        run.wait_for_rows(schemas[job])
    with pods.cluster.without("kube-apiserver"):
        end = time.monotonic() + 30
        wait_until(lambda: time.monotonic() > end, 60, "half a minute")
    for job, run in runs.items():
        assert run.end() == "success"
        assert pods.started(job) == 1
        assert pods.rows(schemas[job]) == (ROWS, ROWS)
    assert "after connection broken" in runs["server"].log()
