"""The columns of the streams."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

STRING = th.StringType
INTEGER = th.IntegerType
DATE_TIME = th.DateTimeType
BOOLEAN = th.BooleanType
STRINGS = th.ArrayType(STRING)
OBJECT = th.ObjectType(additional_properties=True)
PEOPLE = th.ArrayType(
    th.ObjectType(
        th.Property("name", STRING, description="Name, if one is given"),
        th.Property("address", STRING, description="Mail address, if one is given"),
    )
)


def _column(name: str, kind: Any, description: str) -> th.Property[Any]:
    return th.Property(name, kind, description=description)


def _key(name: str, kind: Any, description: str) -> th.Property[Any]:
    return th.Property(name, kind, required=True, nullable=False, description=description)


MAILBOX = (
    _key("mailbox", STRING, "Full name of the mailbox, such as Archive/2026"),
    _key(
        "uidvalidity",
        INTEGER,
        "Changes when the server numbers the mailbox's messages anew; rows with another one than "
        "the mailbox has in the stream mailboxes are out of date",
    ),
)
MESSAGE = (
    *MAILBOX,
    _key("uid", INTEGER, "Number of the message in the mailbox; later ones have higher numbers"),
    _column("received_at", DATE_TIME, "When the server took the message in"),
)
PART = _key("part", STRING, "Number of the part in the message, such as 2 or 2.1")
FILENAME = _column("filename", STRING, "Name of the file, as the sender gave it")
PROBLEM = "Why something could not be read, or not to its end; null if nothing is wrong"
READ_AT = _column("read_at", DATE_TIME, "When the sync read this row, on the clock of the tap")

MAILBOXES = th.PropertiesList(
    *MAILBOX,
    _column("attributes", STRINGS, "What the server says of its use, such as \\Sent or \\Junk"),
    _column("messages", INTEGER, "Messages in it"),
    _column("unseen", INTEGER, "Messages that nobody has read"),
    _column("uidnext", INTEGER, "Number that the next message will have"),
    READ_AT,
).to_dict()

MESSAGES = th.PropertiesList(
    *MESSAGE,
    _column("size", INTEGER, "Bytes of the whole message"),
    _column("message_id", STRING, "Message-ID that the sender gave, without <>; not always unique"),
    _column("in_reply_to", STRINGS, "Message-IDs that it answers"),
    _column("referenced_ids", STRINGS, "Message-IDs of its thread, oldest first"),
    _column("sent_at", DATE_TIME, "Date that the sender's clock had; null if it makes no sense"),
    _column("subject", STRING, "Subject"),
    _column("from_address", STRING, "Address of the first author"),
    _column("from_name", STRING, "Name of the first author"),
    _column("reply_to", PEOPLE, "Whom an answer goes to"),
    _column("to_recipients", PEOPLE, "Whom it is to"),
    _column("cc_recipients", PEOPLE, "Who gets a copy"),
    _column("bcc_recipients", PEOPLE, "Who gets a hidden copy; in sent mail only"),
    _column("headers", OBJECT, "All headers: a list of texts by the name in small letters"),
    _column("body_text", STRING, "Plain text of the message"),
    _column("body_html", STRING, "HTML text of the message"),
    _column("attachments", INTEGER, "How many rows it has in the stream attachments"),
    _column("problem", STRING, PROBLEM),
).to_dict()

FLAGS = th.PropertiesList(
    *MESSAGE,
    _column("seen", BOOLEAN, "Whether it has been read"),
    _column("answered", BOOLEAN, "Whether it has been answered"),
    _column("flagged", BOOLEAN, "Whether it is marked as urgent or special"),
    _column("draft", BOOLEAN, "Whether it is not finished yet"),
    _column("deleted", BOOLEAN, "Whether it is to be removed"),
    _column("keywords", STRINGS, "All other flags, sorted, such as $Forwarded or a user's own"),
    _column("modseq", INTEGER, "Number of the latest change; null if the server counts none"),
    _key(
        "read_modseq",
        INTEGER,
        "The mailbox's number of changes when this sync began to read it; 0 if it counts none",
    ),
    READ_AT,
).to_dict()

ATTACHMENTS = th.PropertiesList(
    *MESSAGE,
    PART,
    FILENAME,
    _column("content_type", STRING, "Type that the sender gave, such as application/pdf"),
    _column("charset", STRING, "Character set that the sender gave"),
    _column("size", INTEGER, "Bytes as sent; base64 makes four of three"),
    _column("disposition", STRING, "attachment or inline; null if the sender did not say"),
    _column("content_id", STRING, "By which the HTML text shows it, without <>"),
    _column("description", STRING, "What the sender says that it is"),
    _column("text", STRING, "Content of a text file; null for other types"),
    _column("problem", STRING, PROBLEM),
).to_dict()

ATTACHMENT_ROWS = th.PropertiesList(
    *MESSAGE,
    PART,
    _key("sheet", STRING, "Sheet of the workbook; empty for a CSV file"),
    _key(
        "row_number",
        INTEGER,
        "Row of the sheet, or record of the file; the names are in the first that is not empty. "
        "0 stands for the file and tells its problem",
    ),
    FILENAME,
    _column("cells", OBJECT, "The cells, by the names in the first row"),
    _column("problem", STRING, PROBLEM),
).to_dict()
