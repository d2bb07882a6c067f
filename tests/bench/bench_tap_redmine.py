"""What 100,000 rows cost tap-redmine, beside parsing the same answers and nothing more.

Run by hand: python -m tests.bench.bench_tap_redmine. CPU seconds of this process; ratios are what
to compare between machines. A real Redmine would take long to give out as many rows, so it
gives one page of each list, and the rest is that page with other ids and dates.
"""

import json
import os
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from time import process_time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter
from tap_redmine.tap import TapRedmine

from tests.connectors.servers.redmine_source import running_redmine, seed

ROWS = 100_000
PAGE = 100
BEGIN = datetime(2024, 1, 1)  # noqa: DTZ001 - written as UTC
SETTINGS = {"api_url": "http://127.0.0.1", "api_key": "replayed"}


class Replay(BaseAdapter):
    """Answers with pages like one that Redmine gave, until there were enough rows."""

    def __init__(self, rows_name: str, page: dict[str, Any]) -> None:
        super().__init__()
        self.rows_name = rows_name
        rows = page[rows_name]
        self.rows = [rows[number % len(rows)] for number in range(PAGE)]
        self.pages = count()

    def page(self, number: int) -> bytes:
        first = number * (PAGE - 1)
        rows = [
            {**row, "id": place, "updated_on": f"{BEGIN + timedelta(minutes=place):%FT%TZ}"}
            for place, row in enumerate(self.rows[: max(0, ROWS - first)], first)
        ]
        return json.dumps({self.rows_name: rows, "limit": PAGE, "total_count": ROWS}).encode()

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        parts = urlsplit(str(request.url))
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, str(request.url)
        answer.headers["Content-Type"] = "application/json"
        known = "offset" in parse_qs(parts.query)
        answer._content = self.prepared[next(self.pages)] if known else b"{}"
        return answer

    def prepare(self) -> None:
        """Make the pages beforehand: they are not what is measured."""
        self.prepared = [self.page(number) for number in range(ROWS // (PAGE - 1) + 2)]

    def close(self) -> None:
        pass


def cpu(what: Callable[[], object]) -> float:
    before = process_time()
    what()
    return process_time() - before


def sync(stream: str, replay: Replay) -> None:
    tap = TapRedmine(config=SETTINGS)
    for name in tap.streams:
        tap.catalog[name].metadata.root.selected = name == stream
    tap.streams[stream].requests_session.mount("http://", replay)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        tap.sync_all()


def main() -> None:
    with running_redmine() as redmine:
        seed(redmine)
        pages = {
            name: redmine.call("GET", f"/{name}.json?status_id=*")
            for name in ("issues", "time_entries")
        }
    print(f"{ROWS} rows: CPU seconds, rows a second, times parsing alone")
    for stream, page in pages.items():
        with closing(Replay(stream, page)) as replay:
            replay.prepare()
            parsing = cpu(lambda prepared=replay.prepared: [json.loads(each) for each in prepared])
            seconds = cpu(lambda replay=replay, stream=stream: sync(stream, replay))
        print(f"{stream:14} {seconds:7.2f} {ROWS / seconds:9.0f} {seconds / parsing:7.1f}")


if __name__ == "__main__":
    main()
