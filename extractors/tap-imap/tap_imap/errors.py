"""What goes wrong, in one line.

MailServerError      ends the sync: another try would not change it
TokenServerError     the server of OAuth tokens is away or busy: another try may do
"""


class MailServerError(Exception):
    """What ends the sync."""


class TokenServerError(OSError):
    """The token server does not answer, or not now."""
