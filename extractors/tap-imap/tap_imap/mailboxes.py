"""Which mailboxes are read, and their status on the server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imapclient import IMAPClient

UNREADABLE = {"\\noselect", "\\nonexistent"}
STATUS_ITEMS = ("MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY")


@dataclass(frozen=True)
class Mailbox:
    r"""A mailbox as it was when the sync began.

    Attributes:
        name: Its full name, such as Archive/2026.
        attributes: Its use according to the server, such as \Sent.
        uidvalidity: Changes when the server renumbers the messages.
        uidnext: The UID that the next message will get.
        messages: The number of messages in it.
        unseen: The number of unread messages in it.
    """

    name: str
    attributes: tuple[str, ...]
    uidvalidity: int
    uidnext: int
    messages: int
    unseen: int


def is_wanted(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a mailbox is included by the last pattern that matches its name.

    `*` and `?` match any characters, including the separator of the hierarchy. A pattern that
    begins with `!` excludes what it matches.
    """
    wanted = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        matches = fnmatchcase(name, plain.replace("[", "[[]"))
        # INBOX is the only name that IMAP compares without regard to case.
        if matches or name.upper() == plain.upper() == "INBOX":
            wanted = plain == pattern
    return wanted


def list_mailboxes(client: IMAPClient, patterns: Iterable[str]) -> tuple[list[str], list[Mailbox]]:
    """Return the names of all readable mailboxes, and the mailboxes that the patterns include."""
    listed = {
        name: tuple(flag.decode("ascii", "replace") for flag in flags)
        for flags, _, name in client.list_folders()
    }
    names = [name for name in listed if not UNREADABLE & {flag.lower() for flag in listed[name]}]
    wanted = [name for name in names if is_wanted(name, patterns)]
    return names, [_with_status(client, name, listed[name]) for name in wanted]


def _with_status(client: IMAPClient, name: str, attributes: tuple[str, ...]) -> Mailbox:
    status = client.folder_status(name, STATUS_ITEMS)
    return Mailbox(
        name=name,
        attributes=attributes,
        uidvalidity=status[b"UIDVALIDITY"],
        uidnext=status[b"UIDNEXT"],
        messages=status[b"MESSAGES"],
        unseen=status[b"UNSEEN"],
    )
