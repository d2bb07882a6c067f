"""What 100,000 sale lines cost tap-tryton, beside what the SDK alone would take for them.

Tryton needs far longer to make so many lines than the tap to read them, so one page that a real
Tryton has given out is played again and again, with ids that grow. Run by hand:
.venv/bin/python -m tests.bench.bench_tap_tryton. CPU time, the least of some runs.
"""

import io
import json
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from tap_tryton.streams import SaleLinesStream
from tap_tryton.tap import TapTryton

from tests.bench.bench_reading import cpu
from tests.connectors.servers.tryton_source import running_tryton

ROWS = 100_000
PAGE = 500


def real_page(settings: dict) -> list[dict]:
    """Return a page of lines as Tryton writes them, filled up to its size by repetition."""
    pages: list[list[dict]] = []
    validate = SaleLinesStream.validate_response

    def keep(self: SaleLinesStream, response: requests.Response) -> None:
        validate(self, response)
        pages.append(response.json())

    SaleLinesStream.validate_response = keep
    run(settings, {})
    SaleLinesStream.validate_response = validate
    return [pages[0][number % len(pages[0])] for number in range(PAGE)]


def run(settings: dict, more: dict) -> None:
    """Read the sale lines, and nothing else."""
    tap = TapTryton(config={**settings, **more})
    for name, stream in tap.streams.items():
        stream.metadata.root.selected = name == "sale_lines"
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        tap.sync_all()


def answers(page: list[dict]) -> Iterable[requests.Response]:
    """Yield the pages of 100,000 lines, and an empty one."""
    for first in range(1, ROWS + 1, PAGE):
        rows = [{**row, "id": first + number} for number, row in enumerate(page)]
        yield answer(rows)
    yield answer([])


def answer(rows: list[dict]) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.headers["Content-Type"] = "application/json"
    response._content = json.dumps(rows).encode()
    response.request = requests.Request("GET", "http://replayed/").prepare()
    response.url = response.request.url
    return response


def main() -> None:
    with running_tryton() as tryton:
        settings = tryton.settings
        page = real_page(settings)
    replayed = list(answers(page))
    read_rows = SaleLinesStream.get_records
    rows = []

    def read(more: dict) -> None:
        left = iter(replayed)
        requests.Session.send = lambda *_, **__: next(left)
        run({**settings, "page_size": PAGE}, more)

    def note(self: SaleLinesStream, context: object) -> Iterable[dict]:
        for row in read_rows(self, context):
            rows.append(row)
            yield row

    SaleLinesStream.get_records = note
    read({})
    SaleLinesStream.get_records = read_rows
    assert len(rows) == ROWS

    def plain() -> None:
        SaleLinesStream.get_records = lambda *_: iter(rows)
        read({})
        SaleLinesStream.get_records = read_rows

    with TemporaryDirectory() as folder:
        encoding = {"format": "jsonl", "compression": "gzip"}
        storage = {"root": Path(folder).as_uri()}
        batches = {"batch_config": {"encoding": encoding, "storage": storage}}
        whats = {
            "the SDK alone, rows ready": plain,
            "tap-tryton": lambda: read({}),
            "tap-tryton, BATCH": lambda: read(batches),
        }
        measured = {name: cpu(what) for name, what in whats.items()}
    print(f"{ROWS} sale lines: CPU seconds, and times the first")
    for name, seconds in measured.items():
        print(f"{name:28} {seconds:7.3f} {seconds / measured['the SDK alone, rows ready']:7.1f}")


if __name__ == "__main__":
    main()
