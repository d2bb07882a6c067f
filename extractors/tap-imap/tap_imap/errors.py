"""The tap's errors, each with a message of one line.

MailServerError      ends the sync: a retry would not help
TokenServerError     the OAuth token server is unreachable or busy: a retry may help
"""


class MailServerError(Exception):
    """An error that ends the sync."""


class TokenServerError(OSError):
    """The token server is unreachable or busy."""
