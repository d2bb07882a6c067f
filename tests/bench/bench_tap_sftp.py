"""What it costs tap-sftp to read 100,000 rows of each format from a real SFTP server.

Run by hand: `.venv/bin/python -m tests.bench.bench_tap_sftp`. CPU seconds of the tap alone, the
server's are not among them; `ratio` compares with the plain reading of the same CSV by Python.
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from tests.connectors.servers.sftp_files import FILES, bookings, orders, statement, stock
from tests.connectors.servers.sftp_source import running_sftp

ROWS = 100_000
CONTENTS = {"bookings": bookings, "statements": statement, "orders": orders, "stock": stock}


def spent(who: int) -> float:
    usage = getrusage(who)
    return usage.ru_utime + usage.ru_stime


def plain(content: bytes) -> float:
    """Return the CPU seconds of reading CSV and writing JSON, without types or checks."""
    before = spent(RUSAGE_SELF)
    with Path(os.devnull).open("w") as out:
        for row in csv.DictReader(io.StringIO(content.decode()), delimiter=";"):
            out.write(json.dumps(row))
    return spent(RUSAGE_SELF) - before


def tap(config: dict) -> tuple[float, float]:
    """Return CPU seconds and seconds of a sync."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config))
        before, start = spent(RUSAGE_CHILDREN), time.monotonic()
        argv = [Path(sys.executable).with_name("tap-sftp"), "--config", file]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return spent(RUSAGE_CHILDREN) - before, time.monotonic() - start


def main() -> None:
    base = plain(orders(ROWS))
    print(f"{'':18}{'CPU s':>8}{'wall s':>8}{'rows/s':>8}{'ratio':>7}")
    print(f"{'plain csv':18}{base:8.1f}{'':8}{ROWS / base:8.0f}{1:7.1f}")
    with running_sftp() as source:
        nothing, _ = tap({**source.settings, "files": []})
        for entry in FILES:
            content = CONTENTS[entry["name"]](ROWS)
            path = f"bench/{entry['name']}"
            source.put(path, content)
            for batch in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    config = {**source.settings, "files": [{**entry, "path": path}]}
                    if batch:
                        encoding = {"format": "jsonl", "compression": "gzip"}
                        storage = {"root": Path(folder).as_uri()}
                        config["batch_config"] = {"encoding": encoding, "storage": storage}
                    cpu, wall = tap(config)
                cpu -= nothing
                name = entry["format"] + (" batch" if batch else "")
                print(f"{name:18}{cpu:8.1f}{wall:8.1f}{ROWS / cpu:8.0f}{cpu / base:7.1f}")


if __name__ == "__main__":
    main()
