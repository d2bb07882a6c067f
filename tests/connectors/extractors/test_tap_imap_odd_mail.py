"""tap-imap's reading of mails as senders write them, by way of a real Dovecot."""

from __future__ import annotations

import io
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from tap_imap.structure import Part
from tap_imap.tables import TableError, table_rows
from tap_imap.texts import Headers, as_text

from tests.connectors.servers.imap_mails import ODD, a_csv, a_workbook
from tests.support.imap_warehouse import MailWarehouse

NAMES = list(ODD)
MOST = 25_000_000


@pytest.fixture(scope="module")
def warehouse(mail_source) -> MailWarehouse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(mail_source.certificate))
        settings = mail_source.settings() | {"mailboxes": ["INBOX", "Odd mail/*"]}
        return MailWarehouse(settings).sync()


def rows_of(warehouse: MailWarehouse, stream: str, mailbox: str, uid: int) -> list[dict]:
    rows = warehouse.rows(stream)
    return [row for row in rows if row["mailbox"].startswith(mailbox) and row["uid"] == uid]


def odd(warehouse: MailWarehouse, name: str, stream: str = "messages") -> list[dict]:
    return rows_of(warehouse, stream, "Odd", NAMES.index(name) + 1)


# Messages


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("no headers", {"subject": None, "sent_at": None, "body_text": "only a text\n"}),
        ("nothing", {"subject": None, "from_address": None, "body_text": None}),
        ("raw 8 bit", {"subject": "Größe", "from_name": "Jürgen", "body_text": "Grüße\n"}),
        ("unknown charset", {"subject": "café", "body_text": "café\n"}),
        ("broken date", {"subject": "broken date", "sent_at": None}),
        ("null", {"body_text": "ab"}),
        ("broken base64", {"body_text": "Hello world"}),
        ("no last boundary", {"body_text": "cut off", "attachments": 1}),
        ("no boundary", {"subject": "none", "problem": None}),
        ("odd people", {"subject": "✓ ok", "from_name": "a, b", "from_address": None}),
        ("folded", {"subject": "folded line", "referenced_ids": ["a@x", "b@x"]}),
        ("digits", {"body_text": "12345"}),
    ],
)
def test_an_odd_mail_is_a_row_like_any_other(warehouse, name, values):
    (row,) = odd(warehouse, name)
    assert {column: row[column] for column in values} == values
    assert row["received_at"] == "2026-01-05T08:00:00+00:00"


def test_a_comma_in_an_encoded_name_does_not_split_it(warehouse):
    (row,) = odd(warehouse, "odd people")
    assert row["cc_recipients"] == [{"name": "Doe, Jö", "address": "j@example.org"}]
    assert row["to_recipients"] == []


def test_all_headers_are_kept(warehouse):
    (row,) = rows_of(warehouse, "messages", "INBOX", 1)
    assert row["headers"]["subject"] == ["Bestellung für März"]
    assert row["headers"]["to"] == ["books@example.com, Zoë <zoe@example.com>"]
    assert row["body_text"] == "Siehe Anhang.\n"
    assert row["body_html"] == "<p>Siehe Anhang.</p>\n"


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"\xef\xbb\xbfa", "us-ascii", "a"),
        ("ä".encode("utf-16"), None, "ä"),
        (b"\x80", "iso-8859-1", "€"),
        (b"\xfd\x81", "gb2312", b"\xfd\x81".decode("gb18030")),
        ("ä".encode(), "us-ascii", "ä"),
        (b"\xe4", "utf-8", "ä"),
        (b"6162", "hex", "6162"),
        (b"a\0b", "", "ab"),
        (b"x", "utf-8\0", "x"),
        (None, None, ""),
    ],
)
def test_bytes_become_text_whatever_their_charset(data, charset, text):
    assert as_text(data, charset) == text


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("Mon, 5 Jan 2026 09:00:00 +0100", "2026-01-05T08:00:00+00:00"),
        ("Mon, 5 Jan 2026 09:00:00 -0000", "2026-01-05T09:00:00+00:00"),
        ("Mon, 5 Jan 2026 09:00:00 +9999", None),
        ("Mon, 5 Jan 20260 09:00:00 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_is_in_utc_or_null(date, moment):
    assert Headers(f"Date: {date}\r\n\r\n".encode()).date("date") == moment


# Attachments


def test_names_of_files_are_decoded(warehouse):
    names = [row["filename"] for row in rows_of(warehouse, "attachments", "INBOX", 1)]
    assert names == ["aufträge.csv", "a rather " + "long " * 20 + "ö.xlsx"]
    (cut,) = odd(warehouse, "no last boundary", "attachments")
    assert cut["filename"] == "cut.csv"


def test_a_forwarded_message_is_listed_with_what_it_holds(warehouse):
    rows = rows_of(warehouse, "attachments", "INBOX", 2)
    assert [(row["part"], row["content_type"], row["text"]) for row in rows] == [
        ("2", "message/rfc822", None),
        ("2.1", "text/plain", "Inner text\r\n"),
        ("2.2", "text/csv", "a,b\r\n1,2\r\n"),
    ]
    (row,) = rows_of(warehouse, "attachment_rows", "INBOX", 2)
    assert (row["part"], row["filename"], row["cells"]) == (
        "2.2",
        "inner.csv",
        {"a": "1", "b": "2"},
    )


def test_the_rows_of_a_csv_file_and_of_a_workbook_are_read(warehouse):
    rows = rows_of(warehouse, "attachment_rows", "INBOX", 1)
    assert [(row["part"], row["sheet"], row["row_number"], row["cells"]) for row in rows] == [
        ("2", "", 2, {"sku": "SKU-0", "quantity": "1", "net price": "0,50"}),
        ("2", "", 3, {"sku": "SKU-1", "quantity": "2", "net price": "1,50"}),
        ("2", "", 4, {"sku": "SKU-2", "quantity": "3", "net price": "2,50"}),
        (
            "3",
            "Orders",
            2,
            {
                "sku": "A-1",
                "quantity": 3,
                "column_3": 1.5,
                "sku_2": "x",
                "ordered on": "2026-02-03T04:05:00",
                "paid": True,
            },
        ),
        (
            "3",
            "Orders",
            4,
            {
                "sku": "A-2",
                "quantity": 4,
                "column_3": None,
                "sku_2": None,
                "ordered on": None,
                "paid": False,
            },
        ),
    ]


def test_a_file_that_is_no_table_says_so_in_a_row(warehouse):
    (row,) = odd(warehouse, "not a workbook", "attachment_rows")
    assert (row["row_number"], row["cells"]) == (0, None)
    assert row["problem"].startswith("the workbook is broken or has a password: ")


def test_a_file_that_breaks_off_has_the_rows_before_and_says_so(warehouse):
    whole, broken = odd(warehouse, "broken csv", "attachment_rows")
    assert (whole["row_number"], whole["cells"]) == (2, {"a": "1", "b": "2"})
    assert broken["row_number"] == 0
    assert broken["problem"].startswith("the CSV file is broken in line 3")


# Tables


def a_part(filename: str) -> Part:
    return Part("2", "application/octet-stream", None, "8bit", 1, None, filename, None, None, False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_first_line(delimiter):
    rows = list(table_rows(a_part("a.CSV"), a_csv(2, delimiter=delimiter).encode(), MOST))
    assert [cells["sku"] for _, _, cells in rows] == ["SKU-0", "SKU-1"]


def test_rows_may_be_shorter_or_longer_than_the_first():
    data = b"\n a ,a,\n1\n1,2,3,4\n,,\n\n5,6,7\n"
    assert list(table_rows(a_part("a.csv"), data, MOST)) == [
        ("", 3, {"a": "1"}),
        ("", 4, {"a": "1", "a_2": "2", "column_3": "3", "column_4": "4"}),
        ("", 7, {"a": "5", "a_2": "6", "column_3": "7"}),
    ]


def test_cells_may_hold_line_ends_and_quotes():
    data = b'a,b\r\n"x\r\ny","say ""hi"""\r\n'
    assert list(table_rows(a_part("a.csv"), data, MOST)) == [
        ("", 2, {"a": "x\r\ny", "b": 'say "hi"'})
    ]


def test_a_workbook_that_unpacks_to_too_much_is_not_read():
    bomb = io.BytesIO()
    with ZipFile(bomb, "w", ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"0" * 2_000_000)
    with pytest.raises(
        TableError, match="unpacks to 2000000 bytes, more than the limit of 1000000"
    ):
        list(table_rows(a_part("a.xlsx"), bomb.getvalue(), 100_000))


@pytest.mark.parametrize("at", [200, 1000, 3000])
def test_a_workbook_that_is_cut_off_or_damaged_says_so(at):
    data = a_workbook()
    damaged = data[:at] + b"\xff" * 60 + data[at + 60 :]
    for broken in (data[:at], damaged):
        with pytest.raises(TableError, match="the workbook is broken"):
            list(table_rows(a_part("a.xlsx"), broken, MOST))
