"""The five streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tap_imap import columns
from tap_imap.reading import Contents, MailStream, Message, NewMessagesStream, utc_or_none
from tap_imap.structure import Part
from tap_imap.tables import TableError, is_table, table_rows
from tap_imap.texts import Headers, as_text

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

    from tap_imap.mailboxes import Mailbox

SYSTEM_FLAGS = ("seen", "answered", "flagged", "draft", "deleted")
MESSAGE_KEY = ("mailbox", "uidvalidity", "uid")


class MailboxesStream(MailStream):
    """The mailboxes that are read, with their current UIDVALIDITY."""

    name = "mailboxes"
    primary_keys = ("mailbox",)
    schema = columns.MAILBOXES
    # One row per mailbox needs no bookmark.
    state_partitioning_keys = ()

    def read(self, mailbox: Mailbox, context: Context) -> Iterable[Record]:  # noqa: ARG002
        """Yield the mailbox."""
        yield {
            "mailbox": mailbox.name,
            "uidvalidity": mailbox.uidvalidity,
            "attributes": list(mailbox.attributes),
            "messages": mailbox.messages,
            "unseen": mailbox.unseen,
            "uidnext": mailbox.uidnext,
            "read_at": datetime.now(UTC).isoformat(),
        }


class MessagesStream(NewMessagesStream):
    """The messages: sender, recipients, dates, subject and text."""

    name = "messages"
    primary_keys = MESSAGE_KEY
    schema = columns.MESSAGES
    items = ("INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE", "BODY.PEEK[HEADER]")

    def wanted(self, message: Message) -> Iterator[Part]:
        """Yield the message's own text, plain and HTML."""
        for part in message.parts:
            column = "body_html" if part.content_type == "text/html" else "body_text"
            if part.is_body and self.is_readable(part) and self.is_selected(column):
                yield part

    def rows(self, message: Message, contents: Contents) -> Iterator[Record]:
        """Yield the one row of a message."""
        texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
        for part in self.wanted(message):
            data = contents.take(message.uid, part)
            text = as_text(data, part.charset).replace("\r\n", "\n")
            texts[part.content_type].append(text)
        unread = [p for p in message.parts if p.is_body and not self.is_readable(p)]
        headers = Headers(message.headers)
        yield {
            "uid": message.uid,
            "received_at": utc_or_none(message.received_at),
            "size": message.size,
            **_envelope(headers),
            "headers": headers.all() if self.is_selected("headers") else None,
            "body_text": "\n".join(texts["text/plain"]) or None,
            "body_html": "\n".join(texts["text/html"]) or None,
            "attachments": sum(not part.is_body for part in message.parts),
            "problem": "; ".join(map(self.too_large, unread)) or None,
        }


def _envelope(headers: Headers) -> dict[str, Any]:
    authors = headers.addresses("from") or [{"address": None, "name": None}]
    message_id = headers.text("message-id")
    return {
        "message_id": message_id and message_id.strip("<> "),
        "in_reply_to": headers.message_ids("in-reply-to"),
        "referenced_ids": headers.message_ids("references"),
        "sent_at": headers.date("date"),
        "subject": headers.text("subject"),
        "from_address": authors[0]["address"],
        "from_name": authors[0]["name"],
        "reply_to": headers.addresses("reply-to"),
        "to_recipients": headers.addresses("to"),
        "cc_recipients": headers.addresses("cc"),
        "bcc_recipients": headers.addresses("bcc"),
    }


class FlagsStream(MailStream):
    """The flags of messages, such as read and answered: the only part of a message that changes.

    The bookmark is the mailbox's MODSEQ when a sync begins to read it. It is the same in all rows
    of the mailbox and takes effect after the last one: what changes during the sync is read again.
    """

    name = "flags"
    primary_keys = MESSAGE_KEY
    replication_key = "read_modseq"
    schema = columns.FLAGS

    def read(self, mailbox: Mailbox, context: Context) -> Iterator[Record]:
        """Yield the flags changed since the bookmark; all if the server counts no changes."""
        read_at = datetime.now(UTC).isoformat()
        for read_modseq, answers in self.server.flags(mailbox, self.bookmark(context)):
            for uid, answer in answers.items():
                if not self.is_too_old(answer[b"INTERNALDATE"]):
                    yield {
                        "uid": uid,
                        "received_at": utc_or_none(answer[b"INTERNALDATE"]),
                        **_flags(answer[b"FLAGS"]),
                        "modseq": answer[b"MODSEQ"][0] if b"MODSEQ" in answer else None,
                        "read_modseq": read_modseq,
                        "read_at": read_at,
                    }


def _flags(flags: tuple[bytes, ...]) -> dict[str, Any]:
    names = [as_text(flag) for flag in flags]
    system = {name.removeprefix("\\").lower() for name in names if name.startswith("\\")}
    return {
        **{name: name in system for name in SYSTEM_FLAGS},
        "keywords": sorted(name for name in names if not name.startswith("\\")),
    }


class AttachmentsStream(NewMessagesStream):
    """The attachments, including forwarded messages and their parts."""

    name = "attachments"
    primary_keys = (*MESSAGE_KEY, "part")
    schema = columns.ATTACHMENTS

    def wanted(self, message: Message) -> Iterator[Part]:
        """Yield the text files."""
        if self.is_selected("text"):
            for part in message.parts:
                if _is_text(part) and self.is_readable(part):
                    yield part

    def rows(self, message: Message, contents: Contents) -> Iterator[Record]:
        """Yield a row for each attachment."""
        wanted = {part.section for part in self.wanted(message)}
        for part in message.parts:
            if part.is_body:
                continue
            data = contents.take(message.uid, part) if part.section in wanted else None
            unread = _is_text(part) and not self.is_readable(part)
            yield {
                "uid": message.uid,
                "received_at": utc_or_none(message.received_at),
                "part": part.section,
                "filename": part.filename,
                "content_type": part.content_type,
                "charset": part.charset,
                "size": part.size,
                "disposition": part.disposition,
                "content_id": part.content_id,
                "description": part.description,
                "text": None if data is None else as_text(data, part.charset),
                "problem": self.too_large(part) if unread else None,
            }


def _is_text(part: Part) -> bool:
    return part.content_type.startswith("text/") and not part.is_body


class AttachmentRowsStream(NewMessagesStream):
    """The rows of attached CSV files and XLSX workbooks."""

    name = "attachment_rows"
    primary_keys = (*MESSAGE_KEY, "part", "sheet", "row_number")
    schema = columns.ATTACHMENT_ROWS

    def wanted(self, message: Message) -> Iterator[Part]:
        """Yield the tables."""
        for part in message.parts:
            if is_table(part) and self.is_readable(part):
                yield part

    def rows(self, message: Message, contents: Contents) -> Iterator[Record]:
        """Yield the rows of all tables, and a row 0 with the problem of each unreadable one."""
        for part in filter(is_table, message.parts):
            shared = {
                "uid": message.uid,
                "received_at": utc_or_none(message.received_at),
                "part": part.section,
                "filename": part.filename,
                "problem": None,
            }
            try:
                for sheet, number, cells in self._table(message, part, contents):
                    yield {**shared, "sheet": sheet, "row_number": number, "cells": cells}
            except TableError as error:
                problem = {"row_number": 0, "cells": None, "problem": str(error)}
                yield {**shared, "sheet": "", **problem}

    def _table(self, message: Message, part: Part, contents: Contents) -> Iterator[Any]:
        if not self.is_readable(part):
            raise TableError(self.too_large(part))
        data = contents.take(message.uid, part)
        if data is not None:
            yield from table_rows(part, data, self.config["max_part_size"])
