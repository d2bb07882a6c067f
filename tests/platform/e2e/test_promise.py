"""The promise: edit meltano.yml and nothing else, and Airflow runs it."""

import re
import time

import pytest

from tests.support.running import count, finished, shown, wait_until

BAD = {"name": "broken", "tasks": ["tap-spredsheets target-warehouse"]}
REFUSED = {
    "name": "refused_by_airflow",
    "tasks": ["tap-spreadsheets target-warehouse"],
    "annotations": {"airflow": {"tags": ["x" * 101]}},
}
IMPOSSIBLE = {"name": "impossible", "job": "reference_data", "interval": "61 * * * *"}
PLUGIN = {
    "name": "tap-rivers",
    "inherit_from": "tap-spreadsheets",
    "load_schema": "geography",
    "config": {
        "files": [
            {
                "path": "extract/rivers.csv",
                "format": "csv",
                "table_name": "rivers",
                "primary_keys": ["river"],
            }
        ]
    },
}
JOB_OF_TWO = ["tap-spreadsheets target-warehouse", "tap-airflow target-warehouse"]
JOB = {"name": "rivers", "tasks": ["tap-rivers target-warehouse"]}
SCHEDULE = {"name": "rivers_minutely", "job": "rivers", "interval": "* * * * *"}


def add_rivers(data):
    data["plugins"] = {"extractors": [PLUGIN]}
    data["jobs"].append(JOB)
    data["schedules"].append(SCHEDULE)


def test_a_job_and_a_schedule_become_a_dag_that_runs_and_go_again(airflow, api, edit):
    rivers = airflow.checkout / "meltano/extract/rivers.csv"
    rivers.write_text("river,km\nDanube,2850\nRhine,1233\n")
    start = time.monotonic()
    edit(add_rivers)

    dag = wait_until(lambda: shown(api, "rivers"), 60, "the DAG")
    assert dag["is_paused"] is False
    assert dag["timetable_description"] == "Every minute"

    path = "dags/rivers/dagRuns"
    runs = wait_until(lambda: api.get(path).json()["dag_runs"], 120, "a scheduled run")
    assert runs[0]["run_type"] == "scheduled"
    run = f"{path}/{runs[0]['dag_run_id']}"
    assert wait_until(lambda: finished(api, run), 120, "its end") == "success"
    assert count(airflow.warehouse, "geography.rivers") == 2
    print(f"From the edit to the rows: {time.monotonic() - start:.0f} s")

    edit(lambda _: None)
    wait_until(lambda: shown(api, "rivers") is None, 180, "the DAG's end")


def add_bad_ones(data):
    data["jobs"] += [BAD, REFUSED]
    data["schedules"].append(IMPOSSIBLE)


def test_bad_jobs_are_named_with_their_lines_and_hurt_no_other(airflow, api, edit):
    edit(add_bad_ones)
    (error,) = wait_until(lambda: import_errors(api), 60, "the import error")
    assert error["filename"].endswith("meltano_problems.py")
    named = re.findall(r"^meltano.yml:\d+: (MDF\d+) .*'(\w+)'", error["stack_trace"], re.MULTILINE)
    assert [code for code, _ in named] == ["MDF013", "MDF040", "MDF021"]
    assert "did you mean 'tap-spreadsheets'?" in error["stack_trace"]

    first = last_parse(api)
    wait_until(lambda: last_parse(api) > first, 60, "another parse of the good DAG")
    assert shown(api, "reference_data")
    assert not shown(api, "broken")
    assert not shown(api, "refused_by_airflow")

    edit(lambda _: None)
    wait_until(lambda: not import_errors(api), 60, "the import error's end")


def test_an_edit_of_another_job_makes_no_new_version_of_a_dag(api, edit):
    """`reference_data` has run, so any change of it would make one."""
    before = versions(api, "reference_data")
    edit(lambda data: data["jobs"].insert(0, {"name": "other", "tasks": JOB_OF_TWO}))
    wait_until(lambda: shown(api, "other"), 60, "the other DAG")
    assert versions(api, "reference_data") == before == 1


RICH = {
    "tags": ["z", "a"],
    "order": "parallel",
    "deadline": "2h",
    "email": ["b@example.com", "a@example.com"],
    "after": {"any": ["reference_data", "airflow_history"]},
    "params": {"REGION": {"type": "string", "enum": ["us", "eu"]}},
    "dag": {"dagrun_timeout": "2h"},
}


def add_rich(data):
    rich = {"name": "rich", "tasks": JOB_OF_TWO, "annotations": {"airflow": RICH}}
    data["jobs"].append(rich)
    for name, interval in (("yearly", "@yearly"), ("monthly", "@monthly")):
        env = {"WHICH": name}
        data["schedules"].append({"name": name, "job": "rich", "interval": interval, "env": env})


@pytest.mark.faults  # it waits for real minutes
def test_dags_stay_at_one_version_over_minutes_of_parsing(api, edit, trigger):
    edit(add_rich)
    wait_until(lambda: shown(api, "rich"), 60, "the DAG")
    # Of a DAG that has never run, Airflow would change the one version.
    for run in (trigger("rich", dry_run=True), trigger("meltano_state")):
        wait_until(lambda run=run: finished(api, run), 120, "its end")

    parses, end = set(), time.monotonic() + 120

    def watched():
        parses.add(last_parse(api))
        return time.monotonic() > end

    wait_until(watched, 180, "two minutes")
    assert len(parses) > 6
    for dag_id in ("rich", "reference_data", "meltano_state"):
        assert versions(api, dag_id) == 1, dag_id


def versions(api, dag_id):
    return api.get(f"dags/{dag_id}/dagVersions").raise_for_status().json()["total_entries"]


def import_errors(api):
    return api.get("importErrors").raise_for_status().json()["import_errors"]


def last_parse(api):
    return api.get("dags/reference_data").raise_for_status().json()["last_parsed_time"]
