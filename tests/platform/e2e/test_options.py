"""What meltano.yml says of a job and its tasks, as the running Airflow has it."""

from tests.support.running import shown, wait_until

OPTIONS = {
    "owner": "sales",
    "owner_links": {"sales": "https://chat.example.com/sales"},
    "tags": ["crm"],
    "description": "All that can be said.",
    "doc_md": "Read **me**.",
    "timezone": "Europe/Prague",
    "start_date": "2026-01-31",
    "catchup": True,
    "paused": True,
    "dag": {"dagrun_timeout": "2h"},
    "retries": 4,
    "retry_delay": "90s",
    "retry_exponential_backoff": True,
    "max_retry_delay": "1h",
    "execution_timeout": "3h",
    "pool": "crm-api",
    "pool_slots": 2,
    "priority_weight": 7,
    "weight_rule": "absolute",
    "queue": "large",
    "operator": {"trigger_rule": "all_done"},
}
JOB = {
    "name": "optioned",
    "tasks": ["tap-airflow target-duckdb"],
    "annotations": {"airflow": OPTIONS},
}
SCHEDULE = {"name": "nightly in Prague", "job": "optioned", "interval": "0 2 * * *"}


def add_job(data):
    data["jobs"].append(JOB)
    data["schedules"].append(SCHEDULE)


def chosen(answer, *names):
    return {name: answer[name] for name in names}


def seconds(duration):
    return duration["days"] * 86400 + duration["seconds"]


def test_the_options_of_a_job_and_of_its_tasks_are_airflows(api, edit):
    edit(add_job)
    wait_until(lambda: shown(api, "optioned"), 60, "the DAG")
    dag = api.get("dags/optioned/details").raise_for_status().json()
    assert chosen(dag, "owners", "owner_links", "description", "catchup", "is_paused") == {
        "owners": ["sales"],
        "owner_links": OPTIONS["owner_links"],
        "description": "All that can be said.",
        "catchup": True,
        "is_paused": True,
    }
    assert dag["doc_md"].startswith("Read **me**.\n")
    assert [each["name"] for each in dag["tags"]] == ["crm", "dev", "meltano"]
    assert dag["dag_run_timeout"] == "PT2H"
    assert dag["start_date"] == "2026-01-30T23:00:00Z"
    assert dag["next_dagrun_run_after"] == "2026-01-31T01:00:00Z"

    (task,) = api.get("dags/optioned/tasks").raise_for_status().json()["tasks"]
    same = ("retries", "pool", "pool_slots", "priority_weight", "weight_rule", "queue", "owner")
    assert chosen(task, *same) == chosen(OPTIONS, *same)
    assert (task["trigger_rule"], task["retry_exponential_backoff"]) == ("all_done", 2)
    times = [seconds(task[name]) for name in ("retry_delay", "execution_timeout")]
    assert times == [90, 3 * 3600]
