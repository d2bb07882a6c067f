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
        th.Property("name", STRING, description="Name, if given"),
        th.Property("address", STRING, description="Mail address, if given"),
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
        "Changes when the server renumbers the mailbox's messages; rows whose value differs from "
        "the mailbox's value in the stream mailboxes are out of date",
    ),
)
MESSAGE = (
    *MAILBOX,
    _key("uid", INTEGER, "Number of the message in the mailbox; later ones have higher numbers"),
    _column("received_at", DATE_TIME, "When the server received the message"),
)
PART = _key("part", STRING, "Number of the part in the message, such as 2 or 2.1")
FILENAME = _column("filename", STRING, "Name of the file, as set by the sender")
PROBLEM = "Why something could not be read completely; null if nothing is wrong"
READ_AT = _column("read_at", DATE_TIME, "When the sync read this row, on the tap's clock")

MAILBOXES = th.PropertiesList(
    *MAILBOX,
    _column("attributes", STRINGS, "Its use according to the server, such as \\Sent or \\Junk"),
    _column("messages", INTEGER, "Messages in it"),
    _column("unseen", INTEGER, "Unread messages in it"),
    _column("uidnext", INTEGER, "UID that the next message will get"),
    READ_AT,
).to_dict()

MESSAGES = th.PropertiesList(
    *MESSAGE,
    _column("size", INTEGER, "Size of the whole message in bytes"),
    _column("message_id", STRING, "Message-ID set by the sender, without <>; not always unique"),
    _column("in_reply_to", STRINGS, "Message-IDs that it replies to"),
    _column("referenced_ids", STRINGS, "Message-IDs of its thread, oldest first"),
    _column("sent_at", DATE_TIME, "Date set by the sender; null if it is not a valid date"),
    _column("subject", STRING, "Subject"),
    _column("from_address", STRING, "Address of the first author"),
    _column("from_name", STRING, "Name of the first author"),
    _column("reply_to", PEOPLE, "Who receives replies"),
    _column("to_recipients", PEOPLE, "Recipients"),
    _column("cc_recipients", PEOPLE, "Recipients of a copy"),
    _column("bcc_recipients", PEOPLE, "Recipients of a blind copy; in sent mail only"),
    _column("headers", OBJECT, "All headers: a list of texts by lower-case name"),
    _column("body_text", STRING, "Plain text of the message"),
    _column("body_html", STRING, "HTML text of the message"),
    _column("attachments", INTEGER, "Number of its rows in the stream attachments"),
    _column("problem", STRING, PROBLEM),
).to_dict()

FLAGS = th.PropertiesList(
    *MESSAGE,
    _column("seen", BOOLEAN, "Whether it has been read"),
    _column("answered", BOOLEAN, "Whether it has been answered"),
    _column("flagged", BOOLEAN, "Whether it is marked as urgent or special"),
    _column("draft", BOOLEAN, "Whether it is a draft"),
    _column("deleted", BOOLEAN, "Whether it is marked for deletion"),
    _column("keywords", STRINGS, "All other flags, sorted, such as $Forwarded or a user's own"),
    _column(
        "modseq", INTEGER, "Number of the latest change; null if the server does not count changes"
    ),
    _key(
        "read_modseq",
        INTEGER,
        "The mailbox's MODSEQ when this sync began to read it; 0 if the server does not count "
        "changes",
    ),
    READ_AT,
).to_dict()

ATTACHMENTS = th.PropertiesList(
    *MESSAGE,
    PART,
    FILENAME,
    _column("content_type", STRING, "Content type set by the sender, such as application/pdf"),
    _column("charset", STRING, "Character set named by the sender"),
    _column("size", INTEGER, "Size in bytes as sent; base64 adds a third"),
    _column("disposition", STRING, "attachment or inline; null if the sender set neither"),
    _column("content_id", STRING, "ID by which the HTML text refers to it, without <>"),
    _column("description", STRING, "Description by the sender"),
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
        "Row of the sheet, or record of the file. The first row that is not empty has the names "
        "of the columns. A row 0 stands for the whole file and has its problem",
    ),
    FILENAME,
    _column("cells", OBJECT, "The cells by column name"),
    _column("problem", STRING, PROBLEM),
).to_dict()
