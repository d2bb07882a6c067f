"""What an error of the directory means for the sync: try again, or stop and say why."""

from __future__ import annotations

from collections.abc import Iterator

from ldap3.core import results
from ldap3.core.exceptions import (
    LDAPBusyResult,
    LDAPCommunicationError,
    LDAPOperationResult,
    LDAPResponseTimeoutError,
    LDAPSocketOpenError,
    LDAPUnavailableResult,
)

_NO_BIND = "the directory does not accept the settings bind_dn and password"
_NEEDS_TLS = "the directory wants TLS: set url to ldaps://... or start_tls to true"
_LIMIT = (
    "the directory gives bind_dn no more entries in a search: have its administrator raise the "
    "limit for bind_dn (in OpenLDAP: limits ... size.prtotal=unlimited), or narrow base_dn"
)
_ADVICE = {
    results.RESULT_TIME_LIMIT_EXCEEDED: (
        "have the directory's administrator raise the time limit for bind_dn or index "
        "modifyTimestamp and objectClass, or narrow base_dn"
    ),
    results.RESULT_SIZE_LIMIT_EXCEEDED: _LIMIT,
    results.RESULT_ADMIN_LIMIT_EXCEEDED: _LIMIT,
    results.RESULT_STRONGER_AUTH_REQUIRED: _NEEDS_TLS,
    results.RESULT_CONFIDENTIALITY_REQUIRED: _NEEDS_TLS,
    results.RESULT_REFERRAL: "another server has base_dn: set url to that one",
    results.RESULT_UNAVAILABLE_CRITICAL_EXTENSION: (
        "the directory gives bind_dn no paged results (RFC 2696), which tap-ldap needs"
    ),
    results.RESULT_NO_SUCH_OBJECT: "base_dn is not there, or bind_dn may not read it",
    results.RESULT_INVALID_DN_SYNTAX: "is it base_dn or bind_dn that is no DN?",
    results.RESULT_INAPPROPRIATE_AUTHENTICATION: (
        "the directory lets nobody in without a name: set bind_dn and password"
    ),
    results.RESULT_INVALID_CREDENTIALS: _NO_BIND,
    results.RESULT_INSUFFICIENT_ACCESS_RIGHTS: "give bind_dn the right to read below base_dn",
}


class DirectoryError(Exception):
    """The sync cannot go on; the message is one line for whoever runs it."""


class UntrustedError(Exception):
    """The server's certificate is not one that we trust, or is for another host."""


def is_passing(error: Exception) -> bool:
    """Return whether another try may help: the server is busy, away, or hung up."""
    if _untrusted(error):
        return False
    passing = (
        LDAPBusyResult,
        LDAPCommunicationError,
        LDAPResponseTimeoutError,
        LDAPUnavailableResult,
        OSError,
    )
    return isinstance(error, passing)


def explain(error: Exception) -> str:
    """Return in one line what is wrong and what to do."""
    if isinstance(error, LDAPOperationResult):
        said = " ".join(str(error.message or "").replace("\0", "").split())[:300]
        answer = f"answered {error.description}" + (f" ({said})" if said else "")
        advice = _ADVICE.get(error.result)
        return f"{answer}: {advice}" if advice else answer
    reason = "; ".join(dict.fromkeys(" ".join(str(each).split()) for each in _causes(error)))
    if _untrusted(error):
        return (
            f"{reason}: set ca_file to the directory's certificate authority, and url to a name "
            "that its certificate has"
        )
    return f"{reason}; is url right?" if isinstance(error, LDAPSocketOpenError) else reason


def _untrusted(error: Exception) -> bool:
    return any(isinstance(each, UntrustedError) for each in _causes(error))


def _causes(error: Exception) -> Iterator[Exception]:
    """Yield what went wrong at each address of the server."""
    history = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], list) else []
    yield from (each for each, _ in history) if history else (error,)
