"""The mail server: one connection for all streams, tried again when it is lost or refused for now.

Mailboxes are opened with EXAMINE and read with BODY.PEEK, so that nothing is marked as read.

IMAP: https://www.rfc-editor.org/rfc/rfc9051, MODSEQ: https://www.rfc-editor.org/rfc/rfc7162
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

import backoff
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from tap_imap.errors import MailServerError, TokenServerError
from tap_imap.login import log_in
from tap_imap.mailboxes import Mailbox, is_wanted, list_mailboxes

T = TypeVar("T")
Answers = dict[int, dict[bytes, Any]]

TIMEOUT = 60
"""Seconds to wait for a connection, and for each piece of an answer."""

TRIES = 5

WINDOW = 50_000
"""UIDs asked for in one search: Python's imaplib refuses a line of over a million bytes."""

FLAGS_AT_ONCE = 1000

FOR_NOW = (
    "[UNAVAILABLE]",
    "[SERVERBUG]",
    "[INUSE]",
    "[LIMIT]",
    "[EXPUNGEISSUED]",
    "[THROTTLED]",
    "TOO MANY SIMULTANEOUS",
)
"""What a refusal holds that another try may not meet: RFC 5530's codes, then Gmail's words."""

# At DEBUG, imapclient logs the mail itself.
logging.getLogger("imapclient").setLevel(logging.WARNING)


class MailServer:
    """An account on a mail server.

    Args:
        config: The tap's settings.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._encryption = config["encryption"]
        self._host = config["host"]
        self._port = config.get("port") or (993 if self._encryption == "tls" else 143)
        self._client: IMAPClient | None = None
        self._open: Mailbox | None = None
        self._modseq = 0
        self._exists = 0

    @cached_property
    def mailboxes(self) -> dict[str, Mailbox]:
        """The mailboxes that the settings ask for, by name, as they are when first asked for."""
        patterns = self._config["mailboxes"]
        names, wanted = self._run(lambda client: list_mailboxes(client, patterns))
        for pattern in patterns:
            plain = pattern.removeprefix("!")
            if not any(is_wanted(name, [plain]) for name in names):
                raise MailServerError(
                    f"{self._where} has no mailbox {plain}, which the setting mailboxes asks for. "
                    f"It has {', '.join(names) or 'none'}"
                )
        if not wanted:
            raise MailServerError("the setting mailboxes leaves out every mailbox")
        return {mailbox.name: mailbox for mailbox in wanted}

    def uids(self, mailbox: Mailbox, after: int, since: date | None) -> Iterator[list[int]]:
        """Yield the UIDs of the messages after one, ascending, in lists of some thousands.

        Args:
            mailbox: Where they are; messages that came since it was listed are left out.
            after: The last UID that is not wanted.
            since: Leave out what came before this day, in whatever time zone the server counts.
        """
        came = ["SINCE", since - timedelta(days=1)] if since else []
        for first in range(after + 1, mailbox.uidnext, WINDOW):
            last = min(first + WINDOW, mailbox.uidnext) - 1
            criteria = ["UID", f"{first}:{last}", *came]
            search = partial(IMAPClient.search, criteria=criteria)
            yield sorted(self._run(search, mailbox))

    def fetch(self, mailbox: Mailbox, uids: Sequence[int], items: Sequence[str]) -> Answers:
        """Return by UID what the server has of some messages; those deleted by now are left out.

        An answer may hold more than was asked for, or only the flags that somebody changed now.
        """
        return self._run(lambda client: client.fetch(uids, items), mailbox)

    def flags(self, mailbox: Mailbox, changed_since: int) -> Iterator[tuple[int, Answers]]:
        """Yield the flags that have changed, each time with the MODSEQ at which reading began.

        They are asked for by sequence number: a server tells of a change made by others meanwhile
        by that number alone, which would pass for a UID. No number moves while a session does
        nothing but FETCH; after a new connection, all is read again.

        Args:
            mailbox: Whose messages' flags.
            changed_since: A MODSEQ that this gave before; 0 for all messages.
        """
        self._open = None
        self._run(lambda _: None, mailbox)
        modseq, exists, client = self._modseq, self._exists, self._client
        items = ["UID", "FLAGS", "INTERNALDATE", *(["MODSEQ"] if modseq else [])]
        # A server that has lost its count begins it again.
        known = 0 < changed_since <= modseq
        modifiers = [f"CHANGEDSINCE {changed_since}"] if known else None
        first = 1
        while first <= exists:
            numbers = range(first, min(first + FLAGS_AT_ONCE, exists + 1))
            fetch = partial(_fetch_by_number, numbers=numbers, items=items, modifiers=modifiers)
            answers = self._run(fetch, mailbox)
            if self._client is not client:
                exists, client, first = self._exists, self._client, 1
                continue
            yield modseq, answers
            first += FLAGS_AT_ONCE

    def close(self) -> None:
        """Log out, if there is a connection."""
        if self._client:
            with suppress(OSError, IMAPClientError):
                self._client.logout()
            self._forget()

    @property
    def _where(self) -> str:
        return f"{self._host}:{self._port}"

    def _forget(self, *_: Any) -> None:
        if self._client:
            with suppress(OSError):
                self._client.shutdown()
        self._client = self._open = None

    def _run(self, ask: Callable[[IMAPClient], T], mailbox: Mailbox | None = None) -> T:
        """Ask the server, with a mailbox open if it is about one."""
        ask_again = backoff.on_exception(
            backoff.expo,
            (OSError, IMAPClientError),
            max_tries=TRIES,
            giveup=_is_final,
            on_backoff=self._forget,
            jitter=None,
            factor=2,
            logger="tap-imap",
        )
        try:
            return ask_again(self._try)(ask, mailbox)
        except (OSError, IMAPClientError) as error:
            raise MailServerError(f"{self._where}: {_explained(error)}") from error

    def _try(self, ask: Callable[[IMAPClient], T], mailbox: Mailbox | None) -> T:
        self._client = client = self._client or self._connected()
        if mailbox and mailbox != self._open:
            self._examine(client, mailbox)
        return ask(client)

    def _connected(self) -> IMAPClient:
        context = ssl.create_default_context()
        client = IMAPClient(
            self._host,
            self._port,
            ssl=self._encryption == "tls",
            ssl_context=context,
            timeout=TIMEOUT,
        )
        client.normalise_times = False
        try:
            if self._encryption == "starttls":
                client.starttls(context)
            log_in(client, self._config)
            if client.has_capability("CONDSTORE") and client.has_capability("ENABLE"):
                # Dovecot tells a mailbox's MODSEQ only to those who ask for it.
                client.enable("CONDSTORE")
        except BaseException:
            client.shutdown()
            raise
        return client

    def _examine(self, client: IMAPClient, mailbox: Mailbox) -> None:
        answer = client.select_folder(mailbox.name, readonly=True)
        if answer[b"UIDVALIDITY"] != mailbox.uidvalidity:
            raise MailServerError(
                f"{self._where} numbered the messages of {mailbox.name} anew while they were read: "
                "run again"
            )
        self._open = mailbox
        self._exists = answer[b"EXISTS"]
        # 0 where the server, or this mailbox, does not count changes.
        self._modseq = answer.get(b"HIGHESTMODSEQ", 0)


def _fetch_by_number(
    client: IMAPClient, numbers: Sequence[int], items: list[str], modifiers: list[str] | None
) -> Answers:
    client.use_uid = False
    try:
        answers = client.fetch(numbers, items, modifiers)
    finally:
        client.use_uid = True
    return {answer[b"UID"]: answer for answer in answers.values() if b"UID" in answer}


def _is_final(error: Exception) -> bool:
    """Tell whether another try would end the same."""
    if isinstance(error, IMAPClientError) and not isinstance(error, IMAPClientAbortError):
        return not any(sign in str(error).upper() for sign in FOR_NOW)
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)


def _explained(error: Exception) -> str:
    """Say in one line what is wrong and what to do."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, LoginError):
        return f"does not accept the login of the settings: {said}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not to be trusted: {error.verify_message}. A private authority's "
            "certificate goes into the file that SSL_CERT_FILE names"
        )
    if isinstance(error, (ssl.SSLError, TimeoutError)):
        return f"{said}. Do the settings encryption and port belong together?"
    if isinstance(error, OSError) and not isinstance(error, TokenServerError):
        return f"{said}. Are the settings host and port right?"
    return said
