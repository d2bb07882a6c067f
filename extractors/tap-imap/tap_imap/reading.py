"""How the streams read new messages and the content of their parts."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from singer_sdk import Stream

from tap_imap.client import MailServer
from tap_imap.errors import MailServerError
from tap_imap.mailboxes import Mailbox
from tap_imap.structure import Part, parts
from tap_imap.texts import in_utc, payload

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

    from tap_imap.tap import TapImap

MESSAGES_PER_FETCH = 200
BYTES_PER_FETCH = 8 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """A message without the content of its parts."""

    uid: int
    received_at: datetime | None
    size: int
    headers: bytes
    parts: list[Part]


class Contents:
    """The content of parts, fetched some megabytes at a time. Take them in the order of `wanted`.

    Args:
        server: The mail server.
        mailbox: The mailbox of the messages.
        wanted: The parts to fetch, each with the UID of its message.
    """

    def __init__(
        self, server: MailServer, mailbox: Mailbox, wanted: Iterable[tuple[int, Part]]
    ) -> None:
        self._server = server
        self._mailbox = mailbox
        self._batches = _batches(wanted)
        self._read: dict[tuple[int, str], bytes | None] = {}

    def take(self, uid: int, part: Part) -> bytes | None:
        """Return the bytes of a part, or None if its message has been deleted in the meantime."""
        key = uid, part.section
        while key not in self._read:
            self._read = self._fetch(next(self._batches))
        encoded = self._read.pop(key)
        return None if encoded is None else payload(encoded, part.encoding)

    def _fetch(self, batch: list[tuple[int, Part]]) -> dict[tuple[int, str], bytes | None]:
        by_section = defaultdict(list)
        for uid, part in batch:
            by_section[part.section].append(uid)
        read: dict[tuple[int, str], bytes | None] = {}
        for section, uids in by_section.items():
            answers = self._server.fetch(self._mailbox, uids, [f"BODY.PEEK[{section}]"])
            for uid in uids:
                content = answers.get(uid, {}).get(f"BODY[{section}]".encode())
                read[uid, section] = _as_bytes(content)
        return read


def _batches(wanted: Iterable[tuple[int, Part]]) -> Iterator[list[tuple[int, Part]]]:
    batch: list[tuple[int, Part]] = []
    size = 0
    for uid, part in wanted:
        if batch and size + part.size > BYTES_PER_FETCH:
            yield batch
            batch, size = [], 0
        batch.append((uid, part))
        size += part.size
    yield batch


def _as_bytes(content: object) -> bytes | None:
    # imapclient parses unquoted digits as a number.
    return content if content is None or isinstance(content, bytes) else str(content).encode()


class MailStream(Stream):
    """Rows of each mailbox, with a bookmark per name and UIDVALIDITY.

    A server that renumbers a mailbox's messages gives the mailbox another UIDVALIDITY. The
    mailbox then has no bookmark, so all of it is read again, and the new rows have other keys.
    """

    @property
    def server(self) -> MailServer:
        """The mail server that all streams share."""
        return cast("TapImap", self._tap).server

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """The mailboxes that the settings select."""
        return [
            {"mailbox": mailbox.name, "uidvalidity": mailbox.uidvalidity}
            for mailbox in self.server.mailboxes.values()
        ]

    @property
    def since(self) -> datetime | None:
        """The setting start_date."""
        return cast("TapImap", self._tap).since

    def bookmark(self, context: Context | None) -> int:
        """Return the mailbox's bookmark; 0 if it has none."""
        value = self.get_starting_replication_key_value(context)
        # Without a bookmark, the SDK returns the setting start_date.
        return value if isinstance(value, int) else 0

    def is_too_old(self, received_at: datetime | None) -> bool:
        """Return whether a message was received before the setting start_date."""
        return bool(self.since and received_at and received_at < self.since)

    def is_selected(self, column: str) -> bool:
        """Return whether a column is selected: some are costly to read."""
        return self.mask[("properties", column)]

    def post_process(self, row: Record, context: Context | None = None) -> Record:  # noqa: ARG002
        """Leave out the columns that are not selected; the SDK would write them to batch files."""
        return {column: value for column, value in row.items() if self.is_selected(column)}

    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Read a mailbox."""
        context = context or {}
        yield from self.read(self.server.mailboxes[context["mailbox"]], context)

    @abstractmethod
    def read(self, mailbox: Mailbox, context: Context) -> Iterable[Record]:
        """Yield the rows of a mailbox."""


class NewMessagesStream(MailStream):
    """Rows of messages. Each message is read once, because IMAP's messages never change.

    UIDs only increase, so the bookmark is the last UID read. It advances after each message, not
    after each row: a message may have many rows, or none.
    """

    replication_key = "uid"
    is_sorted = True
    # Rows can be large, and after an error all rows since the last STATE are read again.
    STATE_MSG_FREQUENCY = 1000
    items: Sequence[str] = ("INTERNALDATE", "BODYSTRUCTURE")

    def read(self, mailbox: Mailbox, context: Context) -> Iterable[Record]:
        """Yield the rows of the messages after the bookmark, in the order of their UIDs."""
        since = self.since.date() if self.since else None
        bookmark = self.bookmark(context)
        if bookmark >= mailbox.uidnext:
            raise MailServerError(
                f"the UIDs of {mailbox.name} went up to {bookmark} and are now below "
                f"{mailbox.uidnext}, without a new UIDVALIDITY, as after a restored backup: "
                "run a full refresh"
            )
        for uids in self.server.uids(mailbox, bookmark, since):
            for first in range(0, len(uids), MESSAGES_PER_FETCH):
                messages = self._messages(mailbox, uids[first : first + MESSAGES_PER_FETCH])
                wanted = ((each.uid, part) for each in messages for part in self.wanted(each))
                contents = Contents(self.server, mailbox, wanted)
                for message in messages:
                    yield from self.rows(message, contents)
                    super()._increment_stream_state({"uid": message.uid}, context=context)

    @abstractmethod
    def rows(self, message: Message, contents: Contents) -> Iterable[Record]:
        """Yield the rows of a message."""

    @abstractmethod
    def wanted(self, message: Message) -> Iterable[Part]:
        """Yield the parts whose content `rows` takes, in the same order."""

    def _increment_stream_state(self, latest_record: Record, *, context: Any = None) -> None:
        """Do nothing: `read` sets the bookmark."""

    def is_readable(self, part: Part) -> bool:
        """Return whether a part is small enough to be read."""
        largest: int = self.config["max_part_size"]
        return part.size <= largest

    def too_large(self, part: Part) -> str:
        """Return the problem of a part that is too large to be read."""
        return f"part {part.section} has {part.size} bytes, which is more than max_part_size"

    def _messages(self, mailbox: Mailbox, uids: Sequence[int]) -> list[Message]:
        answers = self.server.fetch(mailbox, uids, self.items)
        found = (
            Message(
                uid=uid,
                received_at=answers[uid][b"INTERNALDATE"],
                size=answers[uid].get(b"RFC822.SIZE", 0),
                headers=answers[uid].get(b"BODY[HEADER]") or b"",
                parts=parts(answers[uid][b"BODYSTRUCTURE"]),
            )
            for uid in uids
            if b"BODYSTRUCTURE" in answers.get(uid, {})
        )
        return [message for message in found if not self.is_too_old(message.received_at)]


def utc_or_none(received_at: datetime | None) -> str | None:
    """Return when a message was received, in UTC, or None if that is unknown."""
    return in_utc(received_at) if received_at else None
