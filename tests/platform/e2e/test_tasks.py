"""How a task of the local runner fails, and how it is stopped."""

import os

import psutil
import pytest

from tests.support.running import finished, shown, wait_until


def add_job(name, plugin, **airflow):
    def change(data):
        data["plugins"] = {"extractors": [plugin]}
        tasks = [f"{plugin['name']} target-duckdb"]
        data["jobs"].append({"name": name, "tasks": tasks, "annotations": {"airflow": airflow}})

    return change


def test_a_failed_task_says_what_the_tap_said(api, edit, trigger, read_log):
    tap = {"name": "tap-denied", "inherit_from": "tap-airflow", "config": {"password": "wrong"}}
    edit(add_job("denied", tap, retries=0))
    wait_until(lambda: shown(api, "denied"), 60, "the DAG")
    run = trigger("denied")
    assert wait_until(lambda: finished(api, run), 120, "its end") == "failed"
    log = read_log(run)
    assert "Meltano failed with exit code 1: tap-denied: " in log
    assert "wrong" not in log


@pytest.mark.faults
def test_a_task_that_is_marked_failed_takes_meltano_and_the_tap_with_it(
    airflow, api, edit, trigger, request
):
    endless = airflow.checkout / "meltano/extract/never.csv"
    os.mkfifo(endless)
    request.addfinalizer(endless.unlink)
    file = {"path": "extract/never.csv", "format": "csv", "table_name": "never"}
    tap = {"name": "tap-never", "inherit_from": "tap-spreadsheets", "config": {"files": [file]}}
    edit(add_job("never", tap, retries=0))
    wait_until(lambda: shown(api, "never"), 60, "the DAG")
    run = trigger("never")
    (meltano,) = wait_until(lambda: processes(airflow, "tap-never"), 60, "Meltano's process")
    wait_until(lambda: meltano.children(recursive=True), 60, "the tap's process")
    family = [meltano, *meltano.children(recursive=True)]

    (task,) = api.get(f"{run}/taskInstances").json()["task_instances"]
    change = {"new_state": "failed"}
    api.patch(f"{run}/taskInstances/{task['task_id']}", json=change).raise_for_status()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert wait_until(lambda: finished(api, run), 60, "its end") == "failed"


def processes(airflow, word):
    """Return the Meltano processes of the platform that were called with a word."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        if word in command and process.info["cwd"] == str(airflow.checkout / "meltano"):
            found.append(process)
    return found


@pytest.mark.faults  # it waits for a real minute
def test_of_two_jobs_that_share_a_pair_one_waits_for_the_other_and_spends_no_try(
    airflow, api, edit, trigger, request
):
    rows = airflow.checkout / "meltano/extract/shared.csv"
    os.mkfifo(rows)
    request.addfinalizer(lambda: rows.unlink(missing_ok=True))
    file = {"path": "extract/shared.csv", "format": "csv", "table_name": "shared"}
    tap = {"name": "tap-shared", "inherit_from": "tap-spreadsheets", "config": {"files": [file]}}

    def change(data):
        for name in ("first", "second"):
            add_job(name, tap, retries=0)(data)

    edit(change)
    wait_until(lambda: shown(api, "second"), 60, "the DAGs")
    first = trigger("first")
    (meltano,) = wait_until(lambda: processes(airflow, "tap-shared"), 60, "Meltano's process")
    wait_until(lambda: meltano.children(recursive=True), 60, "the tap's process")
    second = trigger("second")
    task = f"{second}/taskInstances/tap-shared-to-target-duckdb"
    wait_until(lambda: api.get(task).json()["state"] == "up_for_reschedule", 60, "the wait")

    rows.unlink()
    rows.write_text("id\n1\n")
    held = f"{first}/taskInstances/tap-shared-to-target-duckdb"
    api.patch(held, json={"new_state": "failed"}).raise_for_status()
    assert wait_until(lambda: finished(api, second), 120, "the end of the second") == "success"
    assert api.get(task).json()["try_number"] == 1
    log = api.get(f"{task}/logs/1").json()["content"]
    said = [str(entry.get("event")) for entry in log]
    assert sum("without using a retry" in each for each in said) == 1
