"""`make up` shows the whole point of the project on one machine."""

import socket
import stat

import httpx
import pytest
from local_platform.airflow_server import LocalAirflow
from local_platform.console import LocalError

from tests.support.running import RunningAirflow, copy_checkout, count, finished, query, wait_until


def test_it_shows_the_dags_the_run_the_rows_and_the_login(airflow):
    for words in (
        "waiting for api-server",
        "reference_data       0 0 * * *",
        "reference_data ran to success",
        "tap_spreadsheets.time_zones │   312",
        f"Open {airflow.url} and log in as admin, password {airflow.password}",
    ):
        assert words in airflow.output


def test_a_second_time_changes_nothing(airflow, api):
    def runs():
        return api.get("dags/reference_data/dagRuns").json()["total_entries"]

    before = runs(), airflow.local.processes()
    again = airflow.run_command("up")
    assert again.returncode == 0
    assert "Airflow is running" in again.stdout
    assert (runs(), airflow.local.processes()) == before


def test_a_port_in_use_is_one_clear_line(tmp_path):
    other = copy_checkout(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = RunningAirflow(other, "").run_command("up", port=port)
    assert done.returncode == 1
    begin = f"make up: port {port} is in use by another program; choose another: PORT="
    assert done.stdout.splitlines()[-1].startswith(begin)
    assert not other.joinpath(".local").exists()


def test_every_server_listens_on_loopback_only(airflow):
    servers = list(airflow.local.processes().values())
    family = servers + [child for each in servers for child in each.children(recursive=True)]
    listening = {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections()
        if connection.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}


def test_the_api_wants_a_login_and_secrets_are_private(airflow):
    assert httpx.get(f"{airflow.url}/api/v2/dags").status_code == 401
    for name in (".local/passwords.json", ".local/airflow/airflow.cfg", "meltano/.env"):
        assert stat.S_IMODE((airflow.checkout / name).stat().st_mode) == 0o600


def test_the_platforms_own_history_is_loaded(airflow, api, trigger):
    before = finished_runs(api)
    run = trigger("airflow_history")
    state = wait_until(lambda: finished(api, run), 180, "airflow_history")
    assert state == "success"
    loaded = query(airflow.warehouse, "SELECT dag_id, dag_run_id, state FROM tap_airflow.dag_runs")
    assert before
    assert before <= set(loaded)
    dags = api.get("dags", params={"exclude_stale": False}).json()["total_entries"]
    assert count(airflow.warehouse, "tap_airflow.dags") == dags


@pytest.mark.faults
def test_after_down_up_carries_on_with_the_same_history(airflow):
    port = airflow.url.rpartition(":")[2]
    family = airflow.local.processes().values()
    down = airflow.run_command("down")
    assert (down.returncode, down.stdout) == (0, "Airflow is stopped.\n")
    assert not [process for process in family if process.is_running()]
    assert airflow.run_command("down").stdout == "Airflow was not running.\n"
    up = airflow.run_command("up", port=port)
    assert up.returncode == 0, up.stdout
    assert "reference_data has run before" in up.stdout


def test_clean_keeps_the_secrets_and_nothing_else(tmp_path):
    checkout = copy_checkout(tmp_path)
    made = [".local/airflow/x", "meltano/.meltano/x", "meltano/output/warehouse.duckdb"]
    for name in [*made, "meltano/.env"]:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("")
    done = RunningAirflow(checkout, "").run_command("clean")
    assert done.returncode == 0, done.stdout
    assert not [name for name in made if (checkout / name).exists()]
    assert (checkout / "meltano/.env").exists()
    assert (checkout / "meltano/meltano.yml").exists()


@pytest.mark.parametrize("port", [0, 99999, -1])
def test_what_is_no_port_is_one_clear_line(tmp_path, port):
    with pytest.raises(LocalError, match="choose another: PORT="):
        LocalAirflow(tmp_path).configure(port)


def finished_runs(api):
    """Return the identity and state of every run that has ended."""
    runs = api.get("dags/~/dagRuns", params={"limit": 100}).raise_for_status().json()["dag_runs"]
    ended = [run for run in runs if run["state"] in ("success", "failed")]
    return {(run["dag_id"], run["dag_run_id"], run["state"]) for run in ended}
