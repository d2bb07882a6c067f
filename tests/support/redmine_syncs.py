"""Syncs of tap-redmine, the rows they leave in a warehouse, and a faulty proxy to read through."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import requests
from tap_redmine.tap import TapRedmine

Fault = tuple[int, dict[str, str], bytes]


class Warehouse:
    """Loads what the tap writes by upsert, and keeps its state, as a real loader does."""

    def __init__(self, config: dict[str, Any], *only: str) -> None:
        self.config = config
        self.only = only
        self.state: dict[str, Any] = {}
        self.tables: dict[str, dict[int, dict]] = {}
        self.messages: list[dict] = []

    def sync(self) -> "Warehouse":
        """Read what is new; what a sync that breaks has written is loaded too."""
        tap = TapRedmine(config=self.config, state=json.loads(json.dumps(self.state)))
        if self.only:
            for name in tap.streams:
                tap.catalog[name].metadata.root.selected = name in self.only
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        try:
            with redirect_stdout(out):
                tap.sync_all()
        finally:
            out.seek(0)
            self.messages = [json.loads(line) for line in out]
            self._load()
        return self

    def _load(self) -> None:
        for message in self.messages:
            if message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "RECORD":
                row = message["record"]
                self.tables.setdefault(message["stream"], {})[row["id"]] = row

    def read(self, stream: str) -> list[dict]:
        """Return the rows that the last sync read."""
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    def ids(self, stream: str) -> list[int]:
        """Return the ids of those, sorted."""
        return sorted(row["id"] for row in self.read(stream))


class FaultyProxy(ThreadingHTTPServer):
    """Hands requests on to Redmine, but first plays each of `faults` to one of them."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = url
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: list[Fault] = []
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        # The key is let through: it is the lists that fail.
        if self.server.faults and path != "/users/current.json":
            status, headers, body = self.server.faults.pop(0)
        else:
            key = {"X-Redmine-API-Key": self.headers["X-Redmine-API-Key"]}
            answer = requests.get(f"{self.server.behind}{self.path}", headers=key, timeout=120)
            status, headers, body = answer.status_code, {}, answer.content
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def faulty_proxy(url: str) -> Iterator[FaultyProxy]:
    """Run a proxy before a Redmine."""
    with FaultyProxy(url) as proxy:
        Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield proxy
        proxy.shutdown()
