"""tap-airflow against a small server that plays answers of a real Airflow 3.3, and its faults."""

from __future__ import annotations

import gzip
import io
import json
import logging
import time
from contextlib import redirect_stdout
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

import jwt
import pytest
from singer_sdk.exceptions import ConfigValidationError, FatalAPIError, RetriableAPIError
from tap_airflow.client import OVERLAP
from tap_airflow.tap import TapAirflow

PASSWORD = "the-password"  # noqa: S105
KEY = "a key that only the fake server has, long enough"
LISTS = {
    "/api/v2/dags": "dags",
    "/api/v2/dags/~/dagRuns": "dag_runs",
    "/api/v2/dags/~/dagRuns/~/taskInstances": "task_instances",
    "/api/v2/assets/events": "asset_events",
    "/api/v2/pools": "pools",
    "/api/v2/importErrors": "import_errors",
}


def a_run(number: int, state: str = "success") -> dict:
    return {
        "dag_run_id": f"manual__{number}",
        "dag_id": "reference_data",
        "dag_display_name": "reference_data",
        "logical_date": None,
        "queued_at": "2026-11-22T16:25:47.651556Z",
        "start_date": "2026-11-22T16:25:48.435062Z",
        "end_date": "2026-11-22T16:25:59.950151Z",
        "duration": 11.515089,
        "run_after": "2026-11-22T16:25:47.515756Z",
        "run_type": "manual",
        "state": state,
        "triggered_by": "rest_api",
        "conf": {"a": 1, "b": {"c": [1, "x"]}},
        "dag_versions": [{"version_number": 1, "bundle_url": "https://me:pw@git.example.com"}],
    }


def a_task(try_number: int = 1) -> dict:
    return {
        "id": "01a20413-f99e-7344-846f-65a9af744f8d",
        "task_id": "one",
        "dag_id": "reference_data",
        "dag_run_id": "manual__1",
        "map_index": -1,
        "state": "success",
        "try_number": try_number,
        "max_tries": 2,
        "executor_config": "{'env': 'rendered-secret'}",
        "rendered_fields": {"op_args": ["rendered-secret"]},
        "trigger": None,
        "dag_version": {"version_number": 3},
    }


def a_dag(dag_id: str) -> dict:
    return {"dag_id": dag_id, "is_stale": False, "tags": [{"name": "elt"}], "file_token": "signed"}


class FakeAirflow(ThreadingHTTPServer):
    """Answers like Airflow from `rows`; first plays each of `faults` to one API request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.rows = {
            "dags": [a_dag("reference_data")],
            "dag_runs": [a_run(1)],
            "task_instances": [a_task()],
            "asset_events": [],
            "pools": [],
            "import_errors": [],
        }
        self.faults: list[tuple[int, dict, bytes]] = []
        self.login_faults: list[tuple[int, dict, bytes]] = []
        self.requests: list[tuple[str, str, dict]] = []
        self.tokens: list[str] = []
        self.token_lifetime = 3600
        self.cursors = True
        self.after_page = lambda: None
        self.of_tries: dict[str, dict] = {}

    def asked(self, path: str) -> list[dict]:
        return [query for _, asked, query in self.requests if asked == path]

    def log_in(self, body: dict) -> tuple[int, dict]:
        if body != {"username": "me", "password": PASSWORD}:
            return 401, {"detail": "Invalid credentials"}
        claims = {"sub": "me", "exp": time.time() + self.token_lifetime, "jti": len(self.tokens)}
        self.tokens.append(jwt.encode(claims, KEY))
        return 201, {"access_token": self.tokens[-1]}

    def page(self, name: str, query: dict) -> tuple[int, dict]:
        rows, limit = self.rows[name], int(query["limit"])
        start = int(query.get("cursor") or query.get("offset") or 0)
        page = {name: rows[start : start + limit], "total_entries": len(rows)}
        if "cursor" in query and self.cursors:
            more = start + limit < len(rows)
            page["next_cursor"] = str(start + limit) if more else None
        return 200, page


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeAirflow

    def do_GET(self) -> None:
        path, query = self._note()
        if self.server.faults:
            return self._send(*self.server.faults.pop(0))
        if self.headers["Authorization"] != f"Bearer {self.server.tokens[-1]}":
            return self._send(401, {}, b'{"detail":"Token Expired"}')
        if path not in LISTS:
            answer = self.server.of_tries.get(path)
            return self._send(200 if answer else 404, {}, json.dumps(answer).encode())
        status, page = self.server.page(LISTS[path], query)
        self.server.after_page()
        return self._send(status, {}, json.dumps(page).encode())

    def do_POST(self) -> None:
        self._note()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.login_faults:
            return self._send(*self.server.login_faults.pop(0))
        status, answer = self.server.log_in(body)
        return self._send(status, {}, json.dumps(answer).encode())

    def _note(self) -> tuple[str, dict]:
        parts = urlsplit(self.path)
        query = {
            name: values[0]
            for name, values in parse_qs(parts.query, keep_blank_values=True).items()
        }
        self.server.requests.append((self.command, parts.path, query))
        return parts.path, query

    def _send(self, status: int, headers: dict, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server():
    with FakeAirflow() as fake:
        Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield fake
        fake.shutdown()


@pytest.fixture
def config(server):
    return {"api_url": server.url, "username": "me", "password": PASSWORD}


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Do not wait between tries; tell how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    return waited


def sync(
    config: dict, *, only: str | None = None, state: dict | None = None, without_conf: bool = False
) -> list[dict]:
    """Run the tap and return its Singer messages."""
    tap = TapAirflow(config=config, state=state or {})
    if without_conf:
        tap.catalog["dag_runs"].metadata["properties", "conf"].selected = False
    if only:
        tap.catalog[only].metadata.root.selected = True
        for name in set(tap.streams) - {only}:
            tap.catalog[name].metadata.root.selected = False
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        tap.sync_all()
    out.seek(0)
    return [json.loads(line) for line in out]


def records(messages: list[dict], stream: str) -> list[dict]:
    return [m["record"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream]


def last_state(messages: list[dict]) -> dict:
    return [m["value"] for m in messages if m["type"] == "STATE"][-1]


# Settings


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"api_url": "http://a"}, "set either username and password, or token"),
        ({"api_url": "http://a", "username": "me"}, "set either username and password, or token"),
        (
            {"api_url": "http://a", "username": "me", "password": "p", "token": "t"},
            "set either username and password, or token",
        ),
        (
            {"api_url": "ftp://a", "token": "t"},
            "api_url must be like https://airflow.example.com, without user or query",
        ),
        (
            {"api_url": "http://me:pw@a", "token": "t"},
            "api_url must be like https://airflow.example.com, without user or query",
        ),
        (
            {"api_url": "http://a", "token": "t", "start_date": "last week"},
            "start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z",
        ),
    ],
)
def test_a_bad_setting_is_one_clear_line(settings, line):
    with pytest.raises(ConfigValidationError) as error:
        TapAirflow(config=settings)
    assert error.value.errors == [line]


def test_a_rejected_secret_is_not_quoted():
    with pytest.raises(ConfigValidationError) as error:
        TapAirflow(config={"api_url": "http://a", "username": "me", "password": 4711})
    assert error.value.errors == ["*** is not of type 'string', 'null' in config['password']"]


@pytest.mark.parametrize("suffix", ["", "/", "/prefix", "/prefix/"])
def test_api_url_may_end_in_a_slash_and_have_a_prefix(suffix):
    tap = TapAirflow(config={"api_url": f"http://a{suffix}", "token": "t"})
    assert tap.streams["dags"].get_url(None) == f"http://a{suffix.rstrip('/')}/api/v2/dags"


def test_discovery_needs_no_server():
    catalog = TapAirflow(config={"api_url": "http://nowhere.invalid", "token": "t"}).catalog_dict
    keys = {
        s["tap_stream_id"]: (list(s["key_properties"]), s["replication_method"])
        for s in catalog["streams"]
    }
    assert keys == {
        "dags": (["dag_id"], "FULL_TABLE"),
        "dag_runs": (["dag_id", "dag_run_id"], "INCREMENTAL"),
        "task_instances": (["dag_id", "dag_run_id", "task_id", "map_index"], "INCREMENTAL"),
        "task_failures": (
            ["dag_id", "dag_run_id", "task_id", "map_index", "try_number"],
            "FULL_TABLE",
        ),
        "asset_events": (["id"], "INCREMENTAL"),
        "pools": (["name"], "FULL_TABLE"),
        "import_errors": (["import_error_id"], "FULL_TABLE"),
    }


def test_the_schema_is_computed_once():
    tap = TapAirflow(config={"api_url": "http://a", "token": "t"})
    assert all(stream.schema is type(stream).schema for stream in tap.streams.values())


# Token


def test_a_sync_logs_in_once(config, server):
    sync(config)
    assert len(server.tokens) == 1


def test_a_token_about_to_expire_is_renewed_before_it_is_used(config, server):
    server.token_lifetime = 30
    sync(config)
    assert len(server.tokens) == len(server.requests) - len(server.tokens) == 6


@pytest.mark.parametrize(
    "refusal", [(401, b'{"detail":"Token Expired"}'), (403, b'{"detail":"Invalid JWT token"}')]
)
def test_a_refused_token_is_renewed_once(config, server, waits, refusal):
    status, body = refusal
    server.faults = [(status, {}, body)]
    assert len(records(sync(config), "dag_runs")) == 1
    assert (len(server.tokens), waits) == (2, [])


def test_a_token_that_is_refused_again_stops_the_sync(config, server):
    server.faults = [(401, {}, b"{}")] * 2
    with pytest.raises(FatalAPIError, match=r"returned 401 .* rejects the credentials"):
        sync(config)
    assert len(server.tokens) == 2


def test_a_refused_ready_token_says_what_to_do(server):
    server.tokens = ["another"]
    with pytest.raises(FatalAPIError, match="set a new one, or set username and password"):
        sync({"api_url": server.url, "token": "expired"})


def test_a_wrong_password_says_so(config):
    with pytest.raises(
        FatalAPIError, match="rejects the username and password; check both settings"
    ):
        sync({**config, "password": "wrong"})


def test_a_failed_login_is_tried_again(config, server, waits):
    server.login_faults = [(503, {"Content-Type": "text/html"}, b"<html>")]
    assert len(records(sync(config), "dag_runs")) == 1
    assert len(waits) == 1


def test_the_password_is_not_sent_where_a_redirect_points(config, server):
    server.login_faults = [(307, {"Location": "http://elsewhere.invalid/login?next=x"}, b"")]
    with pytest.raises(FatalAPIError, match=r"redirects to http://elsewhere\.invalid/login: set"):
        sync(config)


def test_neither_password_nor_token_is_logged(config, server, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults = [(401, {}, b"{}"), (500, {}, b"{}")]
    sync(config)
    server.login_faults = [(422, {}, json.dumps({"detail": [{"input": PASSWORD}]}).encode())]
    with pytest.raises(FatalAPIError) as error:
        sync(config)
    logged = caplog.text + str(error.value)
    assert "/auth/token" in logged
    assert not [secret for secret in (PASSWORD, *server.tokens) if secret in logged]


# Faults


def test_too_many_requests_waits_as_long_as_the_server_asks(config, server, waits):
    server.faults = [(429, {"Retry-After": "7"}, b"")]
    assert len(records(sync(config), "dag_runs")) == 1
    assert [int(wait) for wait in waits] == [7]


def test_a_server_error_is_tried_again_with_growing_waits(config, server, waits):
    server.faults = [(500, {}, b"{}"), (502, {"Content-Type": "text/html"}, b"<html>")]
    assert len(records(sync(config), "dag_runs")) == 1
    assert [int(wait) for wait in waits] == [2, 4]


def test_a_server_that_stays_broken_is_told_in_one_line(config, server):
    server.faults = [(500, {}, b"Traceback\nof\nAirflow")] * 5
    with pytest.raises(RetriableAPIError) as error:
        sync(config, only="dag_runs")
    assert str(error.value) == (
        f"GET {server.url}/api/v2/dags/~/dagRuns returned 500 Internal Server Error"
    )


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ((403, {}, b'{"detail":"Forbidden"}'), "the Viewer role has it"),
        ((404, {}, b'{"error":"API route not found"}'), "is api_url correct"),
        ((400, {}, b'{"detail":"Invalid\\n cursor"}'), "400 Bad Request: Invalid cursor$"),
        (
            (200, {"Content-Type": "text/html"}, b"<html>Sign in"),
            "instead of JSON, as a login page",
        ),
        (
            (200, {}, b'{"hello":"world"}'),
            "the response of /dags/~/dagRuns has no dag_runs: is api_url correct",
        ),
        ((302, {"Location": "/login"}, b""), "redirects to /login: set api_url"),
    ],
)
def test_what_another_try_would_not_change_says_what_to_do(config, server, waits, fault, line):
    server.faults = [fault]
    with pytest.raises(FatalAPIError, match=line) as error:
        sync(config, only="dag_runs")
    assert "\n" not in str(error.value)
    assert waits == []


def test_nobody_listening_ends_in_one_line(config, server, tmp_path, caplog, waits):
    server.server_close()
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps(config))
    with pytest.raises(SystemExit) as stop:
        TapAirflow.cli.main(["--config", str(settings)])
    assert stop.value.code == 1
    line = caplog.records[-1].getMessage()
    assert line.startswith(f"cannot read {server.url}/auth/token: ")
    assert "Connection refused; is api_url correct?" in line
    assert len(waits) == 4


def test_an_airflow_without_cursors_is_refused(config, server):
    server.cursors = False
    with pytest.raises(FatalAPIError, match=r"requires Airflow 3\.3 or newer"):
        sync(config)


# What is read


def test_a_row_has_the_declared_columns_and_no_rendered_values(config):
    messages = sync(config)
    assert "rendered-secret" not in json.dumps(messages)
    for schema in (m for m in messages if m["type"] == "SCHEMA"):
        for row in records(messages, schema["stream"]):
            assert row.keys() == schema["schema"]["properties"].keys()


def test_batch_files_hold_the_same_rows_as_records_and_no_deselected_column(config, tmp_path):
    encoding = {"format": "jsonl", "compression": "gzip"}
    batch_config = {"encoding": encoding, "storage": {"root": tmp_path.as_uri()}}
    expected = sync(config, without_conf=True)
    messages = sync({**config, "batch_config": batch_config}, without_conf=True)
    files = [(m["stream"], url) for m in messages if m["type"] == "BATCH" for url in m["manifest"]]
    assert {stream for stream, _ in files} == {"dags", "dag_runs", "task_instances"}
    for stream, url in files:
        with gzip.open(url2pathname(urlsplit(url).path)) as lines:
            rows = [{**json.loads(line), "read_at": None} for line in lines]
        assert rows == [{**row, "read_at": None} for row in records(expected, stream)]
    assert "conf" not in records(expected, "dag_runs")[0]
    assert last_state(messages)["bookmarks"].keys() == last_state(expected)["bookmarks"].keys()
    assert "replication_key_value" in last_state(messages)["bookmarks"]["dag_runs"]


def test_nested_answers_become_plain_columns(config):
    messages = sync(config)
    assert records(messages, "dags")[0]["tags"] == ["elt"]
    assert records(messages, "dag_runs")[0]["conf"] == {"a": 1, "b": {"c": [1, "x"]}}
    assert records(messages, "dag_runs")[0]["dag_version_numbers"] == [1]
    assert records(messages, "task_instances")[0]["dag_version_number"] == 3


def test_stale_dags_are_read_too(config, server):
    sync(config)
    assert server.asked("/api/v2/dags")[0]["exclude_stale"] == "false"


# Since the last time

READ_AT_16 = {
    "bookmarks": {
        "dag_runs": {
            "replication_key": "read_at",
            "replication_key_value": "2026-11-22T16:00:00+00:00",
        }
    }
}


def test_the_next_sync_asks_from_a_little_before_the_bookmark(config, server):
    sync(config, state=READ_AT_16, only="dag_runs")
    asked = server.asked("/api/v2/dags/~/dagRuns")[0]
    assert asked["updated_at_gte"] == "2026-11-22T15:55:00+00:00"
    assert OVERLAP.total_seconds() == 300


def test_start_date_limits_the_first_sync_only(config, server):
    config["start_date"] = "2026-11-01"
    state = last_state(sync(config, only="dag_runs"))
    sync(config, only="dag_runs", state=state)
    first, second = server.asked("/api/v2/dags/~/dagRuns")
    assert first["updated_at_gte"] == "2026-10-31T23:55:00+00:00"
    assert second["updated_at_gte"] > first["updated_at_gte"]


def test_the_bookmark_is_the_moment_the_first_page_was_asked_for(config, server):
    server.rows["dag_runs"] = [a_run(number) for number in range(5)]
    messages = sync({**config, "page_size": 2}, only="dag_runs")
    read_at = {row["read_at"] for row in records(messages, "dag_runs")}
    bookmark = last_state(messages)["bookmarks"]["dag_runs"]["replication_key_value"]
    assert read_at == {bookmark}


def test_the_bookmark_is_on_the_clock_of_the_server(config, server, monkeypatch):
    monkeypatch.setattr(_Handler, "date_time_string", lambda *_: "Sun, 22 Nov 2026 10:00:00 GMT")
    messages = sync(config, only="dag_runs")
    assert records(messages, "dag_runs")[0]["read_at"].startswith("2026-11-22T09:59:59")


def test_nothing_new_leaves_the_bookmark(config, server):
    server.rows["dag_runs"] = []
    assert last_state(sync(config, only="dag_runs", state=READ_AT_16)) == READ_AT_16


def test_a_sync_that_breaks_is_read_again_from_the_old_bookmark(config, server, monkeypatch):
    monkeypatch.setattr("tap_airflow.streams.DagRunsStream.STATE_MSG_FREQUENCY", 1)
    server.rows["dag_runs"] = [a_run(number) for number in range(4)]

    def break_down():
        server.faults = [(404, {}, b"{}")]

    server.after_page = break_down
    tap = TapAirflow(config={**config, "page_size": 2})
    with redirect_stdout(io.TextIOWrapper(io.BytesIO())), pytest.raises(FatalAPIError):
        tap.streams["dag_runs"].sync()
    server.after_page, server.faults = lambda: None, []
    messages = sync(config, only="dag_runs", state=tap.state)
    assert len(records(messages, "dag_runs")) == 4
    assert "updated_at_gte" not in server.asked("/api/v2/dags/~/dagRuns")[-1]


# Paging by offset


@pytest.mark.parametrize("page_size", [2, 3, 5, 7])
def test_every_dag_is_read_once(config, server, page_size):
    server.rows["dags"] = [a_dag(name) for name in "abcdef"]
    messages = sync({**config, "page_size": page_size}, only="dags")
    assert "".join(row["dag_id"] for row in records(messages, "dags")) == "abcdef"


@pytest.mark.parametrize("after_pages", [1, 2, 3])
@pytest.mark.parametrize("change", ["remove a", "remove all but f", "add 0", "replace a by 0"])
def test_no_dag_is_lost_when_others_come_and_go_between_pages(config, server, after_pages, change):
    rows = {name: a_dag(name) for name in "abcdef"}
    server.rows["dags"] = list(rows.values())
    pages = 0

    def happens():
        nonlocal pages
        pages += 1
        if pages == after_pages:
            left = {"remove a": "bcdef", "remove all but f": "f", "add 0": "0abcdef"}
            server.rows["dags"] = [a_dag(name) for name in left.get(change, "0bcdef")]

    server.after_page = happens
    messages = sync({**config, "page_size": 3}, only="dags")
    names = [row["dag_id"] for row in records(messages, "dags")]
    assert len(names) == len(set(names))
    assert {row["dag_id"] for row in server.rows["dags"]} - {"0"} <= set(names)


# Failures

TASK_PATH = "/api/v2/dags/reference_data/dagRuns/manual__1/taskInstances/one"


def a_try(number: int, state: str) -> dict:
    return {**a_task(number), "state": state, "run_id": "manual__1"}


def test_each_try_that_failed_is_read_with_the_last_error_of_its_log(config, server):
    server.rows["task_instances"] = [a_task(try_number=3)]
    tries = [a_try(1, "failed"), a_try(2, "failed"), a_try(3, "success")]
    raised = {"exc_type": "AirflowException", "exc_value": "tap-a: no such table"}
    cause = {"exc_type": "OSError", "exc_value": "not this"}
    logs = [
        {"event": "begins", "level": "info"},
        {"event": "Task failed", "level": "error", "error_detail": [raised, cause]},
        {"event": "ends", "level": "info"},
    ]
    server.of_tries = {
        f"{TASK_PATH}/-1/tries": {"task_instances": tries, "total_entries": 3},
        f"{TASK_PATH}/logs/1": {"content": logs},
        f"{TASK_PATH}/logs/2": {"content": [{"event": "x" * 3000, "level": "error"}]},
    }
    first, second = records(sync(config), "task_failures")
    assert (first["try_number"], first["error"]) == (1, "tap-a: no such table")
    assert (second["try_number"], second["error"]) == (2, "x" * 2000)
    assert server.asked(f"{TASK_PATH}/logs/1")[0]["map_index"] == "-1"


def test_a_log_that_is_gone_leaves_the_error_empty(config, server):
    server.rows["task_instances"] = [{**a_task(), "state": "failed"}]
    tries = {"task_instances": [a_try(1, "failed")], "total_entries": 1}
    server.of_tries = {f"{TASK_PATH}/-1/tries": tries}
    [failure] = records(sync(config), "task_failures")
    assert (failure["state"], failure["error"]) == ("failed", None)


def test_a_run_that_was_deleted_since_it_was_listed_has_no_tries(config, server):
    server.rows["task_instances"] = [{**a_task(), "state": "failed"}]
    assert records(sync(config), "task_failures") == []
    assert server.asked(f"{TASK_PATH}/-1/tries")


def test_a_task_that_succeeded_at_once_costs_no_request(config, server):
    assert records(sync(config), "task_failures") == []
    assert not [path for _, path, _ in server.requests if "/tries" in path]


# Asset events


def test_asset_events_are_asked_for_since_the_last_sync(config, server):
    event = {"id": 7, "timestamp": "2026-11-22T16:25:59Z", "extra": {"rows": {"a": 1}}}
    server.rows["asset_events"] = [event]
    messages = sync(config, only="asset_events")
    [row] = records(messages, "asset_events")
    assert (row["id"], row["extra"]) == (7, {"rows": {"a": 1}})
    sync(config, only="asset_events", state=last_state(messages))
    first, second = server.asked("/api/v2/assets/events")
    assert "timestamp_gte" not in first
    began = datetime.fromisoformat(row["read_at"])
    assert datetime.fromisoformat(second["timestamp_gte"]) == began - OVERLAP
