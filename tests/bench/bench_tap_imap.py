"""What tap-imap costs for each stream of a mailbox of 100,000 messages in a real Dovecot.

Run by hand: `.venv/bin/python -m tests.bench.bench_tap_imap`. CPU seconds of the tap alone, and
times the flags, which are the least that can be read; filling the mailbox takes some minutes.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage

from tap_imap.tap import TapImap

from tests.connectors.servers.imap_mails import FIRST_DAY, a_csv, a_mail
from tests.connectors.servers.imap_source import MailSource, running_dovecot

MESSAGES = 100_000
AT_ONCE = 1000
STREAMS = ("flags", "messages", "attachments", "attachment_rows")


def mails() -> Iterator[dict[str, object]]:
    """Yield messages of 1 kB, each tenth with a CSV file of ten rows."""
    for number in range(MESSAGES):
        mail = a_mail(f"Order {number}", "Please send what follows.\n" * 20, number=number)
        if number % 10 == 0:
            mail.add_attachment(a_csv(10), subtype="csv", filename=f"order_{number}.csv")
        yield {"msg": mail.as_bytes(), "date": FIRST_DAY}


def fill(source: MailSource) -> None:
    source_of_mails = mails()
    with source.mail_program() as client:
        for _ in range(0, MESSAGES, AT_ONCE):
            client.multiappend("INBOX", [next(source_of_mails) for _ in range(AT_ONCE)])


def measure(settings: dict[str, object], stream: str, state: dict) -> tuple[int, float, float]:
    """Return the rows of a sync, its CPU seconds and its wall seconds."""
    tap = TapImap(config=settings, state=state)
    for name in tap.streams:
        tap.catalog[name].metadata.root.selected = name == stream
    with tempfile.TemporaryFile("w+") as out:
        before, began = getrusage(RUSAGE_SELF), time.monotonic()
        with contextlib.redirect_stdout(out):
            tap.sync_all()
        wall, after = time.monotonic() - began, getrusage(RUSAGE_SELF)
        out.seek(0)
        rows = sum('"type":"RECORD"' in line for line in out)
    state.update(tap.state)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return rows, cpu, wall


def main() -> None:
    with running_dovecot() as source:
        fill(source)
        os.environ["SSL_CERT_FILE"] = str(source.certificate)
        settings = source.settings() | {"mailboxes": ["INBOX"]}
        print(f"{MESSAGES} messages: rows, CPU seconds, times the flags; a sync with nothing new")
        least = 0.0
        for stream in STREAMS:
            state: dict = {}
            rows, cpu, wall = measure(settings, stream, state)
            again, cpu_again, _ = measure(settings, stream, state)
            assert again == 0
            least = least or cpu
            print(
                f"{stream:16} {rows:7} {cpu:7.1f} {cpu / least:5.1f} {rows / wall:9.0f} rows/s"
                f"{cpu_again:9.2f}"
            )


if __name__ == "__main__":
    main()
