"""A meltano.yml that cannot be read: what people see, and what goes on."""

import re
import shutil

import httpx
import pytest

from tests.support.running import finished, shown, wait_until

UNREADABLE = "jobs:\n- name: @daily\n"
# What has not been parsed for this long leaves the list: stale_dag_threshold, and then
# parsing_cleanup_interval, of local_platform's airflow.cfg.
STALE_SECONDS = 40


@pytest.fixture
def spoil(airflow):
    """Make meltano.yml unreadable, and put it back at the end."""
    file = airflow.checkout / "meltano/meltano.yml"
    before = file.read_text()
    yield lambda: file.write_text(UNREADABLE)
    file.write_text(before)


def import_error(api):
    errors = api.get("importErrors").raise_for_status().json()["import_errors"]
    return next((each["stack_trace"] for each in errors), None)


def last_parse(api):
    return api.get("dags/reference_data").raise_for_status().json()["last_parsed_time"]


def test_the_known_dags_stay_and_their_tasks_say_what_meltano_says(
    airflow, api, spoil, trigger, read_log
):
    wait_until(lambda: list(airflow.local.plans.rglob("*.good.json")), 60, "a good plan")
    spoil()
    error = wait_until(lambda: import_error(api), 60, "the import error")
    assert "meltano.yml:2:9: MDF001 the file is not valid YAML" in error
    assert "The DAGs are those of the last good meltano.yml." in error

    first = last_parse(api)
    wait_until(lambda: last_parse(api) > first, 60, "another parse of the last good plan")
    assert shown(api, "reference_data")
    run = trigger("reference_data")
    text = wait_until(lambda: log_with(read_log, run, "Meltano failed"), 120, "the task's log")
    assert "meltano.yml" in text
    api.patch(run, json={"state": "failed"}).raise_for_status()


def test_a_worker_without_the_plan_fails_its_task_with_one_clear_line(
    airflow, api, spoil, trigger, read_log
):
    wait_until(lambda: list(airflow.local.plans.rglob("*.good.json")), 60, "a good plan")
    spoil()
    shutil.rmtree(airflow.local.plans)
    run = trigger("reference_data")
    text = wait_until(lambda: log_with(read_log, run, "MDF001"), 120, "the task's log")
    (line,) = [each for each in text.splitlines() if "MDF001" in each]
    assert re.match(r"meltano.yml:2:9: MDF001 .* set DAG_FACTORY_STATE_DIR to keep", line)
    api.patch(run, json={"state": "failed"}).raise_for_status()
    assert finished(api, run) == "failed"


def log_with(read_log, run, words):
    """Return the log of the run's task once it holds the words; there is none at first."""
    try:
        text = read_log(run)
    except (httpx.HTTPStatusError, ValueError):
        return None
    return text if words in text else None
