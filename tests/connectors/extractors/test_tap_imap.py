"""tap-imap against a real Dovecot: what it reads, what it reads again, and what it leaves alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from imapclient import IMAPClient
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_imap.errors import MailServerError
from tap_imap.mailboxes import is_wanted
from tap_imap.tap import TapImap

from tests.connectors.servers.imap_mails import FIRST_DAY, a_csv, a_mail
from tests.connectors.servers.imap_source import PLAIN_USER, USER, MailSource
from tests.support.imap_warehouse import MailWarehouse

SEEDED = ["INBOX", "Sent", "Odd mail/*"]
SUITE = SuiteConfig(max_records_limit=None)

StandardTests = get_tap_test_class(
    TapImap,
    config={"host": "placeholder.invalid", "username": "me", "password": "none"},
    suite_config=SUITE,
    parse_env_config=False,
)


# A column that is null in every row, such as content_id.
@pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")
class TestStandard(StandardTests):
    """The SDK's own tests, which want their settings before Dovecot runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, mail_source):
        config = {**mail_source.settings(), "mailboxes": SEEDED}
        runner = TapTestRunner(TapImap, config=config, suite_config=SUITE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(mail_source.certificate))
            runner.sync_all()
        return runner


class Folder:
    """A mailbox of one test, and the mail program that changes it."""

    def __init__(self, source: MailSource, client: IMAPClient, user: str) -> None:
        self.name = f"Tests/{uuid4()}"
        self.source = source
        self.client = client
        self.settings = {**source.settings(user), "mailboxes": [self.name]}
        client.create_folder(self.name)

    def deliver(self, subject: str, *, when: datetime = FIRST_DAY, csv: str = "") -> None:
        mail = a_mail(subject)
        if csv:
            mail.add_attachment(csv, subtype="csv", filename=f"{subject}.csv")
        self.client.append(self.name, mail.as_bytes(), (), when)

    def mark(self, uid: int, *flags: str) -> None:
        self.client.select_folder(self.name)
        self.client.add_flags(uid, flags)

    def delete(self, uid: int) -> None:
        self.mark(uid, "\\Deleted")
        self.client.expunge()

    def flags(self) -> dict[int, set[bytes]]:
        self.client.select_folder(self.name, readonly=True)
        answers = self.client.fetch(self.client.search() or [0], ["FLAGS"])
        return {uid: {*answer[b"FLAGS"]} - {rb"\Recent"} for uid, answer in answers.items()}

    def begin_anew(self) -> None:
        self.client.delete_folder(self.name)
        self.client.create_folder(self.name)


@pytest.fixture(autouse=True)
def trust(mail_source: MailSource, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(mail_source.certificate))


@pytest.fixture(params=[USER])
def folder(request, mail_source) -> Iterator[Folder]:
    with mail_source.mail_program(request.param) as client:
        folder = Folder(mail_source, client, request.param)
        yield folder
        client.delete_folder(folder.name)


@pytest.fixture
def warehouse(folder) -> MailWarehouse:
    return MailWarehouse(folder.settings)


@pytest.fixture
def between_answers(monkeypatch) -> Callable[[list[Callable[[], object]]], None]:
    """Do the next thing of a list after each answer with messages that the tap gets."""
    fetch = IMAPClient.fetch

    def plan(actions: list[Callable[[], object]]) -> None:
        def fetch_and_act(self: IMAPClient, *args: object, **kwargs: object) -> object:
            answer = fetch(self, *args, **kwargs)
            if actions:
                actions.pop(0)()
            return answer

        monkeypatch.setattr(IMAPClient, "fetch", fetch_and_act)

    return plan


# What is read


def test_all_mailboxes_are_read_and_left_as_they_are(mail_source):
    names = ["INBOX", "Sent", "Odd mail/Ünüsual & more"]

    def look(client: IMAPClient) -> dict[str, dict]:
        items = ["MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ"]
        return {name: client.folder_status(name, items) for name in names}

    with mail_source.mail_program() as client:
        before = look(client)
        warehouse = MailWarehouse({**mail_source.settings(), "mailboxes": SEEDED}).sync()
        assert look(client) == before

    read = {row["mailbox"]: row for row in warehouse.rows("mailboxes")}
    for name in names:
        status = before[name]
        assert read[name]["messages"] == status[b"MESSAGES"]
        assert read[name]["uidvalidity"] == status[b"UIDVALIDITY"]
        for stream in ("messages", "flags"):
            rows = [row for row in warehouse.rows(stream) if row["mailbox"] == name]
            assert len(rows) == status[b"MESSAGES"]
        seen = [row["seen"] for row in warehouse.rows("flags") if row["mailbox"] == name]
        assert seen.count(False) == status[b"UNSEEN"]
    assert "\\Sent" in read["Sent"]["attributes"]


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["INBOX"], {"INBOX"}),
        (["inbox"], {"INBOX"}),
        (["*"], {"INBOX", "Archive/2025", "Archive/2026", "[Gmail]/All Mail", "Trash"}),
        (["*", "!Trash", "!Archive/*"], {"INBOX", "[Gmail]/All Mail"}),
        (["!Archive/*", "Archive/202?"], {"Archive/2025", "Archive/2026"}),
        (["[Gmail]/All Mail"], {"[Gmail]/All Mail"}),
        (["archive/*"], set()),
    ],
)
def test_patterns_choose_mailboxes(patterns, wanted):
    names = ["INBOX", "Archive/2025", "Archive/2026", "[Gmail]/All Mail", "Trash"]
    assert {name for name in names if is_wanted(name, patterns)} == wanted


def test_what_came_before_start_date_is_left_out(folder, warehouse):
    for day in range(4):
        folder.deliver(f"day {day}", when=FIRST_DAY + timedelta(days=day), csv=a_csv(1))
    warehouse.config["start_date"] = (FIRST_DAY + timedelta(days=2)).isoformat()
    warehouse.sync()
    assert [row["subject"] for row in warehouse.rows("messages")] == ["day 2", "day 3"]
    for stream in ("flags", "attachments", "attachment_rows"):
        assert warehouse.uids(stream) == [3, 4]


def test_start_date_counts_to_the_second_in_its_own_time_zone(folder, warehouse):
    folder.deliver("before", when=datetime(2026, 3, 1, 22, 59, 59, tzinfo=UTC))
    folder.deliver("at", when=datetime(2026, 3, 1, 23, 0, 0, tzinfo=UTC))
    warehouse.config["start_date"] = "2026-03-02T00:00:00+01:00"
    warehouse.sync("messages")
    assert [row["subject"] for row in warehouse.rows("messages")] == ["at"]


def test_what_is_not_selected_is_not_asked_for(folder, warehouse, monkeypatch):
    folder.deliver("order", csv=a_csv(1))
    asked: list[str] = []
    fetch = IMAPClient.fetch

    def listen(self: IMAPClient, uids: object, items: list[str], *modifiers: object) -> object:
        asked.extend(items)
        return fetch(self, uids, items, *modifiers)

    monkeypatch.setattr(IMAPClient, "fetch", listen)
    bodies = [("messages", "body_text"), ("messages", "body_html")]
    warehouse.sync("messages", "attachments", without=[*bodies, ("attachments", "text")])
    assert not [item for item in asked if item.startswith("BODY.PEEK[") and "HEADER" not in item]
    assert "body_text" not in warehouse.rows("messages")[0]
    assert warehouse.rows("attachments")[0]["filename"] == "order.csv"
    warehouse.sync("attachment_rows")
    assert "BODY.PEEK[2]" in asked


def test_a_part_that_is_too_large_is_not_read_and_says_so(folder, warehouse):
    folder.deliver("small", csv=a_csv(1))
    folder.deliver("large", csv=a_csv(200))
    warehouse.config["max_part_size"] = 500
    warehouse.sync()
    small, large = sorted(warehouse.rows("attachments"), key=lambda row: row["uid"])
    assert small["text"] == a_csv(1)
    assert small["problem"] is None
    assert large["text"] is None
    assert large["problem"] == f"part 2 has {large['size']} bytes, which is more than max_part_size"
    rows = {(row["uid"], row["row_number"]): row for row in warehouse.rows("attachment_rows")}
    assert rows.keys() == {(1, 2), (2, 0)}
    assert rows[2, 0]["problem"] == large["problem"]
    assert [row["body_text"] for row in warehouse.rows("messages")] == ["Hello\n"] * 2


# Since the last time


def test_the_next_sync_reads_new_messages_only(folder, warehouse):
    folder.deliver("one", csv=a_csv(2))
    folder.deliver("two")
    warehouse.sync()
    assert warehouse.uids("messages") == [1, 2]
    warehouse.sync()
    assert [warehouse.loaded[stream] for stream in warehouse.tables if stream != "mailboxes"] == [
        []
    ] * 4
    folder.deliver("three", csv=a_csv(1))
    warehouse.sync()
    for stream in ("messages", "flags", "attachments", "attachment_rows"):
        assert warehouse.uids(stream) == [3]


def test_the_next_sync_reads_changed_flags_only(folder, warehouse):
    for number in range(3):
        folder.deliver(f"mail {number}")
    warehouse.sync("flags")
    folder.mark(2, "\\Seen", "\\Answered", "$Forwarded", "invoice")
    warehouse.sync("flags")
    (row,) = warehouse.loaded["flags"]
    assert (row["uid"], row["seen"], row["answered"], row["flagged"]) == (2, True, True, False)
    assert row["keywords"] == ["$Forwarded", "invoice"]
    assert row["modseq"] > 0


@pytest.mark.parametrize("folder", [PLAIN_USER], indirect=True)
def test_all_flags_are_read_where_the_server_counts_no_changes(folder, warehouse):
    for number in range(3):
        folder.deliver(f"mail {number}")
    warehouse.sync()
    folder.mark(2, "\\Seen")
    warehouse.sync()
    assert warehouse.uids("flags") == [1, 2, 3]
    assert [row["seen"] for row in warehouse.loaded["flags"]] == [False, True, False]
    assert {row["modseq"] for row in warehouse.rows("flags")} == {None}
    assert warehouse.uids("messages") == []


def test_flags_read_whole_tell_which_messages_are_gone(folder, warehouse):
    for number in range(3):
        folder.deliver(f"mail {number}")
    warehouse.sync()
    folder.delete(2)
    warehouse.sync("flags", whole="flags")
    latest = max(row["read_at"] for row in warehouse.rows("flags"))
    assert [row["uid"] for row in warehouse.rows("flags") if row["read_at"] < latest] == [2]
    assert len(warehouse.rows("messages")) == 3


def test_a_mailbox_numbered_anew_is_read_whole_under_new_keys(folder, warehouse):
    folder.deliver("old one", csv=a_csv(1))
    folder.deliver("old two")
    warehouse.sync()
    folder.begin_anew()
    folder.deliver("new one", csv=a_csv(1))
    warehouse.sync()
    (mailbox,) = warehouse.rows("mailboxes")
    current = [
        row["subject"]
        for row in warehouse.rows("messages")
        if row["uidvalidity"] == mailbox["uidvalidity"]
    ]
    assert current == ["new one"]
    assert len(warehouse.rows("messages")) == 3
    for stream in ("flags", "attachments", "attachment_rows"):
        assert warehouse.uids(stream) == [1]


def bookmark_of(warehouse: MailWarehouse, stream: str) -> dict:
    (partition,) = warehouse.state["bookmarks"][stream]["partitions"]
    return partition


def test_flags_are_read_whole_when_the_server_has_lost_its_count(folder, warehouse):
    for number in range(3):
        folder.deliver(f"mail {number}")
    warehouse.sync("flags")
    counted = bookmark_of(warehouse, "flags")["replication_key_value"]
    bookmark_of(warehouse, "flags")["replication_key_value"] = counted + 1000
    warehouse.sync("flags")
    assert warehouse.uids("flags") == [1, 2, 3]
    assert bookmark_of(warehouse, "flags")["replication_key_value"] == counted


def test_a_restored_mailbox_with_its_old_uidvalidity_is_told(folder, warehouse):
    folder.deliver("one")
    warehouse.sync("messages")
    bookmark_of(warehouse, "messages")["replication_key_value"] = 7
    with pytest.raises(MailServerError, match=r"up to 7 and are now below 2, .*full refresh"):
        warehouse.sync("messages")


# While mails come and go


def test_no_message_is_lost_while_others_come_and_go(
    folder, warehouse, between_answers, monkeypatch
):
    monkeypatch.setattr("tap_imap.reading.MESSAGES_PER_FETCH", 2)
    monkeypatch.setattr("tap_imap.client.UIDS_PER_SEARCH", 3)
    for number in range(1, 10):
        folder.deliver(f"mail {number}")
    actions = [
        lambda: folder.delete(1),
        lambda: folder.deliver("mail 10"),
        lambda: folder.delete(6),
    ]
    between_answers(actions)
    warehouse.sync("messages")
    assert actions == []
    first = warehouse.uids("messages")
    assert {2, 3, 4, 5, 7, 8, 9} <= {*first} <= {*range(1, 10)}
    warehouse.sync("messages")
    assert warehouse.uids("messages") == [10]
    assert [row["subject"] for row in warehouse.rows("messages")] == [
        f"mail {uid}" for uid in (*first, 10)
    ]


def test_no_change_of_flags_is_lost_while_they_are_read(
    folder, warehouse, between_answers, monkeypatch
):
    monkeypatch.setattr("tap_imap.client.FLAGS_PER_FETCH", 2)
    for number in range(10):
        folder.deliver(f"mail {number}")
    folder.delete(1)
    actions = [
        lambda: folder.mark(2, "\\Seen"),
        lambda: folder.delete(3),
        lambda: folder.mark(5, "\\Flagged"),
        lambda: folder.mark(9, "\\Answered"),
    ]
    between_answers(actions)
    warehouse.sync("flags")
    assert actions == []
    warehouse.sync("flags")
    loaded = {row["uid"]: row for row in warehouse.rows("flags")}
    for uid, flags in folder.flags().items():
        row = loaded[uid]
        assert {name for name in ("seen", "flagged", "answered") if row[name]} == {
            flag.decode().removeprefix("\\").lower() for flag in flags
        }


def test_a_sync_that_breaks_within_a_message_loses_none_of_its_rows(folder, warehouse, monkeypatch):
    monkeypatch.setattr("tap_imap.reading.NewMessagesStream.STATE_MSG_FREQUENCY", 1)
    for name in ("one", "two", "three"):
        folder.deliver(name, csv=a_csv(10))
    left = 15

    def write(self: TapImap, message: object) -> None:
        nonlocal left
        if type(message).__name__ == "RecordMessage":
            left -= 1
        if left < 0:
            raise OSError("the disk is full")
        write_message(self, message)

    write_message = TapImap.write_message
    monkeypatch.setattr(TapImap, "write_message", write)
    with pytest.raises(OSError, match="disk"):
        warehouse.sync("attachment_rows")
    assert warehouse.uids("attachment_rows") == [1] * 10 + [2] * 5
    left = 10_000
    warehouse.sync("attachment_rows")
    assert warehouse.uids("attachment_rows") == [2] * 10 + [3] * 10
    assert len(warehouse.rows("attachment_rows")) == 30


def test_messages_without_rows_are_not_looked_at_again(folder, warehouse, monkeypatch):
    folder.deliver("order", csv=a_csv(1))
    folder.deliver("no order")
    warehouse.sync("attachment_rows")
    assert bookmark_of(warehouse, "attachment_rows")["replication_key_value"] == 2


# BATCH


def test_batches_hold_the_selected_columns_and_the_state_follows(folder, warehouse, tmp_path):
    for number in range(3):
        folder.deliver(f"mail {number}", csv=a_csv(4))
    warehouse.config["batch_config"] = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
        "batch_size": 5,
    }

    def rows(stream: str) -> list[dict]:
        files = [Path(name.removeprefix("file://")) for name in warehouse.batches[stream]]
        lines = (gzip.decompress(file.read_bytes()).splitlines() for file in files)
        return [json.loads(line) for some in lines for line in some]

    warehouse.sync("messages", "attachment_rows", without=[("messages", "headers")])
    assert [row["subject"] for row in rows("messages")] == ["mail 0", "mail 1", "mail 2"]
    assert "headers" not in rows("messages")[0]
    assert [row["uid"] for row in rows("attachment_rows")] == [1] * 4 + [2] * 4 + [3] * 4
    folder.deliver("mail 3", csv=a_csv(1))
    warehouse.sync("messages", "attachment_rows")
    assert [row["uid"] for row in rows("messages")] == [1, 2, 3, 4]
    assert len(rows("attachment_rows")) == 13
