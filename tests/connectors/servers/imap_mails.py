"""The mails in the mailboxes of imap_source.py, the same at every start, odd ones among them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from zlib import crc32

from openpyxl import Workbook

FIRST_DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Mail:
    """A mail, and where it is."""

    mailbox: str
    content: bytes
    received_at: datetime
    flags: tuple[str, ...] = ()


def a_mail(subject: str, text: str = "Hello\n", *, number: int = 0) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Ada Kovács <ada@example.org>"
    mail["To"] = "books@example.com, Zoë <zoe@example.com>"
    mail["Subject"] = subject
    mail["Date"] = FIRST_DAY + timedelta(hours=number)
    mail["Message-ID"] = f"<{number}.{crc32(subject.encode())}@example.org>"
    mail.set_content(text)
    return mail


def a_csv(rows: int, *, delimiter: str = ";") -> str:
    lines = [delimiter.join(("sku", "quantity", "net price"))]
    lines += [delimiter.join((f"SKU-{n}", str(n % 9 + 1), f"{n},50")) for n in range(rows)]
    return "\r\n".join(lines) + "\r\n"


def a_workbook() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Orders"
    sheet.append(["sku", "quantity", None, "sku", "ordered on", "paid"])
    sheet.append(["A-1", 3, 1.5, "x", datetime(2026, 2, 3, 4, 5), True])  # noqa: DTZ001
    sheet.append([None] * 6)
    sheet.append(["A-2", 4, None, None, None, False])
    book.create_sheet("Über").append(["only a header"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def an_order() -> bytes:
    """Return a mail with a CSV file and a workbook, whose names are not ASCII."""
    mail = a_mail("Bestellung für März", "Siehe Anhang.\n", number=1)
    mail.add_alternative("<p>Siehe Anhang.</p>", subtype="html")
    mail.add_attachment(a_csv(3).encode("cp1252"), "text", "csv", filename="aufträge.csv")
    mail.add_attachment(
        a_workbook(), "application", "octet-stream", filename="a rather " + "long " * 20 + "ö.xlsx"
    )
    return mail.as_bytes()


def a_forwarded_order() -> bytes:
    inner = a_mail("Order 7", "Inner text\n", number=2)
    inner.add_attachment("a,b\n1,2\n", subtype="csv", filename="inner.csv")
    outer = a_mail("Fwd: Order 7", "See below\n", number=3)
    outer.add_attachment(inner)
    return outer.as_bytes()


ODD = {
    "no headers": b"\r\nonly a text\r\n",
    "nothing": b"\r\n",
    "raw 8 bit": b"Subject: Gr\xf6\xdfe\r\nFrom: J\xfcrgen <j@example.org>\r\n\r\nGr\xfc\xdfe\r\n",
    "unknown charset": b"Subject: =?x-klingon?Q?caf=E9?=\r\n"
    b"Content-Type: text/plain; charset=x-klingon\r\n\r\ncaf\xe9\r\n",
    "broken date": b"Subject: broken date\r\nDate: Thirdsday, 99 Foo 20266 25:61\r\n\r\nx\r\n",
    "early date": b"Subject: early\r\nDate: Mon, 1 Jan 0001 00:00:00 +2300\r\n\r\nx\r\n",
    "null": b"Subject: n\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"YQBi\r\n",
    "broken base64": b"Subject: b64\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8gd29ybGQ\r\n",
    "no last boundary": b"Subject: cut\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\ncut off\r\n'
    b'--b\r\nContent-Type: text/csv; name="=?utf-8?B?Y3V0LmNzdg==?="\r\n\r\na,b\r\n1,2\r\n3',
    "no boundary": b"Subject: none\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed\r\n\r\nx\r\n",
    "odd people": b'From: "a, b" <>\r\nTo: undisclosed-recipients:;\r\n'
    b"Cc: =?utf-8?Q?Doe=2C_J=C3=B6?= <j@example.org>, (only a comment)\r\n"
    b"Subject: =?utf-8?B?4pyT?= =?utf-8?Q?_ok?=\r\n\r\nx\r\n",
    "folded": b"Subject: folded\r\n line\r\nReferences: <a@x>\r\n\t<b@x>\r\nIn-Reply-To: <b@x>\r\n"
    b"\r\nx\r\n",
    "digits": b"Subject: digits\r\nContent-Type: text/plain\r\n\r\n12345",
    "not a workbook": b"Subject: locked\r\n"
    b"Content-Type: application/octet-stream; name=locked.xlsx\r\n\r\nPK no\r\n",
    "broken csv": b"Subject: csv\r\nContent-Type: text/csv; name=quote.csv\r\n\r\n"
    b'a,b\r\n1,2\r\n3,"' + b"4" * 200_000 + b"\r\n",
}


def _mails() -> list[Mail]:
    mails = [Mail("INBOX", an_order(), FIRST_DAY), Mail("INBOX", a_forwarded_order(), FIRST_DAY)]
    for number in range(40):
        mail = a_mail(f"Question {number}", f"How many of SKU-{number}?\n", number=number)
        flags = ("\\Seen",) if number % 2 else ()
        mails.append(Mail("INBOX", mail.as_bytes(), FIRST_DAY + timedelta(days=number), flags))
    mails += [Mail("Odd mail/Ünüsual & more", content, FIRST_DAY) for content in ODD.values()]
    mails.append(Mail("Sent", a_mail("Re: Question 1").as_bytes(), FIRST_DAY, ("\\Seen",)))
    return mails


MAILS = _mails()
