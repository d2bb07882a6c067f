"""What 100,000 DAG runs cost tap-airflow, beside parsing the same answers and nothing more.

Run by hand: python -m tests.bench.bench_tap_airflow. CPU seconds of this process. An Airflow would
take days to make so many runs, so pages are played that have what Airflow 3.3 answers for one.
"""

import json
import os
from contextlib import closing, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from requests.adapters import BaseAdapter
from tap_airflow.tap import TapAirflow

from tests.bench.bench_reading import cpu

ROWS, PAGE = 100_000, 100
SETTINGS = {"api_url": "http://127.0.0.1", "token": "replayed", "page_size": PAGE}
RUN = {
    "dag_id": "reference_data",
    "dag_display_name": "reference_data",
    "logical_date": None,
    "queued_at": "2026-11-22T16:25:47.651556Z",
    "start_date": "2026-11-22T16:25:48.435062Z",
    "end_date": "2026-11-22T16:25:59.950151Z",
    "duration": 11.515089,
    "data_interval_start": "2026-11-22T16:15:00Z",
    "data_interval_end": "2026-11-22T16:30:00Z",
    "run_after": "2026-11-22T16:30:00Z",
    "last_scheduling_decision": "2026-11-22T16:25:59.951Z",
    "run_type": "scheduled",
    "state": "success",
    "triggered_by": "timetable",
    "triggering_user_name": None,
    "conf": {},
    "note": None,
    "dag_versions": [{"id": "01a2", "version_number": 1, "dag_id": "reference_data"}],
    "bundle_version": None,
    "partition_key": None,
    "partition_date": None,
}


class Replay(BaseAdapter):
    """Answers with pages of runs until there were enough."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = [self._page(first) for first in range(0, ROWS, PAGE)]
        self.left = iter(self.pages)

    @staticmethod
    def _page(first: int) -> bytes:
        rows = [{**RUN, "dag_run_id": f"scheduled__{first + number}"} for number in range(PAGE)]
        cursor = str(first + PAGE) if first + PAGE < ROWS else None
        return json.dumps({"dag_runs": rows, "next_cursor": cursor}).encode()

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, str(request.url)
        answer.headers["Content-Type"] = "application/json"
        answer._content = next(self.left)
        return answer

    def close(self) -> None:
        self.left = iter(self.pages)


def sync(replay: Replay, **more: object) -> None:
    tap = TapAirflow(config={**SETTINGS, **more})
    for name in tap.streams:
        tap.catalog[name].metadata.root.selected = name == "dag_runs"
    tap.streams["dag_runs"].requests_session.mount("http://", replay)
    with (
        closing(replay),
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
    ):
        tap.sync_all()


def main() -> None:
    replay = Replay()
    parsing = cpu(lambda: [json.loads(page) for page in replay.pages])
    print(f"{ROWS} rows: CPU seconds, rows a second, times parsing alone")
    with TemporaryDirectory() as folder:
        storage = {"root": Path(folder).as_uri()}
        batches = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": storage}
        for what, more in {"RECORD": {}, "BATCH": {"batch_config": batches}}.items():
            seconds = cpu(lambda more=more: sync(replay, **more))
            print(f"{what:14} {seconds:7.2f} {ROWS / seconds:9.0f} {seconds / parsing:7.1f}")


if __name__ == "__main__":
    main()
