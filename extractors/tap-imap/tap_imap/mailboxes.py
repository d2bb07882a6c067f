"""Which mailboxes are read, and what the server says of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imapclient import IMAPClient

UNREADABLE = {"\\noselect", "\\nonexistent"}
STATUS = ("MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY")


@dataclass(frozen=True)
class Mailbox:
    r"""A mailbox as it was when the sync began.

    Attributes:
        name: Its full name, such as Archive/2026.
        attributes: What the server says of its use, such as \Sent.
        uidvalidity: Changes when the server numbers the messages anew.
        uidnext: The number that the next message will have.
        messages: How many messages there are.
        unseen: How many of them nobody has read.
    """

    name: str
    attributes: tuple[str, ...]
    uidvalidity: int
    uidnext: int
    messages: int
    unseen: int


def is_wanted(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether the last of the patterns that fit a mailbox's name takes it in.

    `*` and `?` stand for any characters, the hierarchy's separator included, and a pattern that
    begins with `!` leaves out what it fits.
    """
    wanted = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        fits = fnmatchcase(name, plain.replace("[", "[[]"))
        # The one name that IMAP compares without regard to case.
        if fits or name.upper() == plain.upper() == "INBOX":
            wanted = plain == pattern
    return wanted


def list_mailboxes(client: IMAPClient, patterns: Iterable[str]) -> tuple[list[str], list[Mailbox]]:
    """Return the names of all mailboxes that can be read, and those that the patterns take in."""
    listed = {
        name: tuple(flag.decode("ascii", "replace") for flag in flags)
        for flags, _, name in client.list_folders()
    }
    names = [name for name in listed if not UNREADABLE & {flag.lower() for flag in listed[name]}]
    wanted = [name for name in names if is_wanted(name, patterns)]
    return names, [_ask(client, name, listed[name]) for name in wanted]


def _ask(client: IMAPClient, name: str, attributes: tuple[str, ...]) -> Mailbox:
    status = client.folder_status(name, STATUS)
    return Mailbox(
        name=name,
        attributes=attributes,
        uidvalidity=status[b"UIDVALIDITY"],
        uidnext=status[b"UIDNEXT"],
        messages=status[b"MESSAGES"],
        unseen=status[b"UNSEEN"],
    )
