"""tap-tryton's settings, and what it does when a server or a proxy before it fails."""

from __future__ import annotations

import io
import json
import logging
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from singer_sdk.exceptions import ConfigValidationError, FatalAPIError, RetriableAPIError
from tap_tryton.tap import TapTryton

KEY = "the-key-of-the-application"
PARTY = {
    "id": 7,
    "name": "Customer",
    "active": True,
    "create_date": None,
    "write_date": None,
    "__name__": "party.party",
}
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html"}


class FaultyServer(ThreadingHTTPServer):
    """Plays each of `faults` to one request, and then gives out one party."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: list[tuple[int, dict, bytes] | None] = []
        self.requests: list[tuple[str, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Authorization"]))
        answer = (200, JSON, json.dumps([PARTY]).encode())
        if self.server.faults:
            answer = self.server.faults.pop(0)
        if answer is None:
            return self.connection.close()
        status, headers, body = answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server():
    with FaultyServer() as faulty:
        Thread(target=faulty.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield faulty
        faulty.shutdown()


@pytest.fixture
def config(server):
    return {"url": server.url, "database": "shop", "key": KEY}


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Do not wait between tries; tell how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    return waited


def sync(config: dict) -> list[dict]:
    """Read the parties, of which one column is selected, and return their rows."""
    tap = TapTryton(config=config)
    for name, stream in tap.streams.items():
        stream.metadata.root.selected = name == "parties"
    parties = tap.streams["parties"]
    for column in parties.columns:
        parties.metadata["properties", column.name].selected = column.name == "name"
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        tap.sync_all()
    out.seek(0)
    messages = [json.loads(line) for line in out]
    return [message["record"] for message in messages if message["type"] == "RECORD"]


# Settings


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"url": "erp.example.com"}, "url must be like https://erp.example.com"),
        ({"url": "https://me:secret@erp.example.com"}, "without user or query"),
        ({"key": KEY + "\n"}, "key must be the key alone"),
        ({"key": ""}, "key must be the key alone"),
        ({"key": [KEY]}, "*** is not of type 'string'"),
        ({"database": None}, "None is not of type 'string'"),
        ({"start_date": "yesterday"}, "start_date must be like 2026-01-31"),
        ({"page_size": 0}, "0 is less than the minimum of 1"),
    ],
)
def test_a_wrong_setting_is_named(config, wrong, line):
    with pytest.raises(ConfigValidationError) as refused:
        TapTryton(config={**config, **wrong})
    assert any(line in error for error in refused.value.errors)
    assert KEY not in str(refused.value.errors)


@pytest.mark.parametrize("missing", ["url", "database", "key"])
def test_a_missing_setting_is_named(config, missing):
    del config[missing]
    with pytest.raises(ConfigValidationError) as refused:
        TapTryton(config=config)
    assert f"'{missing}' is a required property" in refused.value.errors


def test_the_address_may_have_a_prefix_and_the_database_any_name(config, server):
    sync({**config, "url": f"{server.url}/erp/", "database": "shop / 1"})
    path, authorization = server.requests[0]
    assert path.startswith("/erp/shop%20%2F%201/rest/model/party.party?")
    assert authorization == f"Bearer {KEY}"


def test_the_key_is_not_logged(config, server, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults = [(500, HTML, b""), (401, HTML, KEY.encode())]
    with pytest.raises(FatalAPIError) as error:
        sync(config)
    assert KEY not in caplog.text + str(error.value)


# Faults


def test_too_many_requests_waits_as_long_as_the_server_asks(config, server, waits):
    server.faults = [(429, {"Retry-After": "7"}, b"")]
    assert [row["id"] for row in sync(config)] == [7]
    assert [int(wait) for wait in waits] == [7]


def test_no_server_may_make_the_tap_wait_for_hours(config, server, waits):
    server.faults = [(503, {"Retry-After": "86400"}, b"")]
    assert sync(config)
    assert [int(wait) for wait in waits] == [300]


def test_a_broken_server_is_tried_again_with_growing_waits(config, server, waits):
    server.faults = [(500, HTML, b"<p>Deadlock</p>"), (502, HTML, b"<html>"), None]
    assert [row["id"] for row in sync(config)] == [7]
    assert [int(wait) for wait in waits] == [2, 4, 8]


def test_a_server_that_stays_broken_is_told_in_one_line(config, server):
    server.faults = [(503, HTML, b"Traceback\nof\nTryton")] * 5
    with pytest.raises(RetriableAPIError) as error:
        sync(config)
    assert str(error.value) == (
        f"GET {server.url}/shop/rest/model/party.party returned 503 Service Unavailable"
    )


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ((302, {"Location": "/login?next=x"}, b""), "redirects to /login: set url to the final"),
        ((200, HTML, b"<html>Sign in"), "text/html instead of JSON, as a login page"),
        ((200, {}, b"?"), "no content type instead of JSON"),
        (
            (200, JSON, b'{"hello": "world"}'),
            "the response of /party.party has no records: are url and database",
        ),
        (
            (200, JSON, b'[{"id": 7'),
            "the response of /party.party has no records: are url and database",
        ),
        ((500, HTML, b"<p>&#39;name&#39;</p>"), "does not have name. Activate the module"),
        ((400, JSON, b'{"message": "No\\n way", "description": ""}'), "400 Bad Request: No way"),
        ((400, HTML, b"<html>"), "400 Bad Request: no reason given"),
        ((403, HTML, b"<html>"), "403 Forbidden: no reason given"),
    ],
)
def test_what_another_try_would_not_change_says_what_to_do(config, server, waits, fault, line):
    server.faults = [fault]
    with pytest.raises(FatalAPIError) as error:
        sync(config)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert waits == []


def test_nobody_listening_ends_in_one_line(config, server, tmp_path, caplog, waits):
    server.server_close()
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps(config))
    with pytest.raises(SystemExit) as stop:
        TapTryton.cli.main(["--config", str(settings)])
    assert stop.value.code == 1
    line = caplog.records[-1].getMessage()
    assert line.startswith(f"cannot read {server.url}/shop/rest/model/")
    assert "Connection refused; are url and database correct?" in line
    assert len(waits) == 4
