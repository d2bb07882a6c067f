"""The mail server: one connection for all streams, with retries after temporary errors.

Mailboxes are opened with EXAMINE and read with BODY.PEEK, so that no message is marked as read.

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
"""Seconds to wait for a connection, and for each part of a response."""

MAX_ATTEMPTS = 5

UIDS_PER_SEARCH = 50_000
"""Limits the length of the response: Python's imaplib rejects lines of over a million bytes."""

FLAGS_PER_FETCH = 1000

TEMPORARY_ERRORS = (
    "[UNAVAILABLE]",
    "[SERVERBUG]",
    "[INUSE]",
    "[LIMIT]",
    "[EXPUNGEISSUED]",
    "[THROTTLED]",
    "TOO MANY SIMULTANEOUS",
)
"""Texts in an error after which a retry may succeed: RFC 5530's codes, then Gmail's wording."""

# At DEBUG, imapclient logs the content of mails.
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
        """The mailboxes that the settings select, by name, as they are on first access."""
        patterns = self._config["mailboxes"]
        names, wanted = self._run(lambda client: list_mailboxes(client, patterns))
        for pattern in patterns:
            plain = pattern.removeprefix("!")
            if not any(is_wanted(name, [plain]) for name in names):
                raise MailServerError(
                    f"{self._address} has no mailbox {plain}, which is in the setting mailboxes. "
                    f"It has {', '.join(names) or 'no mailboxes'}"
                )
        if not wanted:
            raise MailServerError("the setting mailboxes excludes every mailbox")
        return {mailbox.name: mailbox for mailbox in wanted}

    def uids(self, mailbox: Mailbox, after: int, since: date | None) -> Iterator[list[int]]:
        """Yield the UIDs of newer messages in ascending order, in lists of some thousands.

        Args:
            mailbox: The mailbox. Messages received since it was listed are left out.
            after: Yield only UIDs above this one.
            since: Leave out messages received before this day, in the server's time zone.
        """
        received = ["SINCE", since - timedelta(days=1)] if since else []
        for first in range(after + 1, mailbox.uidnext, UIDS_PER_SEARCH):
            last = min(first + UIDS_PER_SEARCH, mailbox.uidnext) - 1
            criteria = ["UID", f"{first}:{last}", *received]
            search = partial(IMAPClient.search, criteria=criteria)
            yield sorted(self._run(search, mailbox))

    def fetch(self, mailbox: Mailbox, uids: Sequence[int], items: Sequence[str]) -> Answers:
        """Return the requested items of messages by UID. Deleted messages are left out.

        A result may hold more items than requested, or only the flags that somebody just changed.
        """
        return self._run(lambda client: client.fetch(uids, items), mailbox)

    def flags(self, mailbox: Mailbox, changed_since: int) -> Iterator[tuple[int, Answers]]:
        """Yield the flags that have changed, each time with the MODSEQ at which reading began.

        Messages are requested by sequence number. A server reports changes that others make in
        the meantime by that number only, and it would be mistaken for a UID. Sequence numbers do
        not change while a session sends FETCH only. After a reconnect, all flags are read again.

        Args:
            mailbox: The mailbox of the messages.
            changed_since: A MODSEQ that an earlier call yielded; 0 for all messages.
        """
        self._open = None
        self._run(lambda _: None, mailbox)
        modseq, exists, client = self._modseq, self._exists, self._client
        items = ["UID", "FLAGS", "INTERNALDATE", *(["MODSEQ"] if modseq else [])]
        # A server that has lost its MODSEQ starts again from a lower number.
        is_usable = 0 < changed_since <= modseq
        modifiers = [f"CHANGEDSINCE {changed_since}"] if is_usable else None
        first = 1
        while first <= exists:
            numbers = range(first, min(first + FLAGS_PER_FETCH, exists + 1))
            fetch = partial(_fetch_by_number, numbers=numbers, items=items, modifiers=modifiers)
            answers = self._run(fetch, mailbox)
            if self._client is not client:
                exists, client, first = self._exists, self._client, 1
                continue
            yield modseq, answers
            first += FLAGS_PER_FETCH

    def close(self) -> None:
        """Log out, if there is a connection."""
        if self._client:
            with suppress(OSError, IMAPClientError):
                self._client.logout()
            self._forget()

    @property
    def _address(self) -> str:
        return f"{self._host}:{self._port}"

    def _forget(self, *_: Any) -> None:
        if self._client:
            with suppress(OSError):
                self._client.shutdown()
        self._client = self._open = None

    def _run(self, command: Callable[[IMAPClient], T], mailbox: Mailbox | None = None) -> T:
        """Run a command with retries, after opening its mailbox if it needs one."""
        with_retries = backoff.on_exception(
            backoff.expo,
            (OSError, IMAPClientError),
            max_tries=MAX_ATTEMPTS,
            giveup=_is_final,
            on_backoff=self._forget,
            jitter=None,
            factor=2,
            logger="tap-imap",
        )
        try:
            return with_retries(self._run_once)(command, mailbox)
        except (OSError, IMAPClientError) as error:
            raise MailServerError(f"{self._address}: {_explain(error)}") from error

    def _run_once(self, command: Callable[[IMAPClient], T], mailbox: Mailbox | None) -> T:
        self._client = client = self._client or self._connect()
        if mailbox and mailbox != self._open:
            self._examine(client, mailbox)
        return command(client)

    def _connect(self) -> IMAPClient:
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
                # Dovecot reports a mailbox's MODSEQ only after ENABLE.
                client.enable("CONDSTORE")
        except BaseException:
            client.shutdown()
            raise
        return client

    def _examine(self, client: IMAPClient, mailbox: Mailbox) -> None:
        answer = client.select_folder(mailbox.name, readonly=True)
        if answer[b"UIDVALIDITY"] != mailbox.uidvalidity:
            raise MailServerError(
                f"{self._address} renumbered the messages of {mailbox.name} while they were read: "
                "run the sync again"
            )
        self._open = mailbox
        self._exists = answer[b"EXISTS"]
        # 0 if the server does not count the changes of this mailbox.
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
    """Return whether a retry would not help."""
    if isinstance(error, IMAPClientError) and not isinstance(error, IMAPClientAbortError):
        return not any(text in str(error).upper() for text in TEMPORARY_ERRORS)
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)


def _explain(error: Exception) -> str:
    """Return in one line what is wrong and what to do."""
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, LoginError):
        return f"the server rejects the credentials in the settings: {text}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted: {error.verify_message}. For a private "
            "certificate authority, set SSL_CERT_FILE to a file that contains its certificate"
        )
    if isinstance(error, (ssl.SSLError, TimeoutError)):
        return f"{text}. Do the settings encryption and port match the server's?"
    if isinstance(error, OSError) and not isinstance(error, TokenServerError):
        return f"{text}. Are the settings host and port correct?"
    return text
