"""Decide what an error of the directory means: retry, or stop with a reason."""

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

_TLS_REQUIRED = "the directory requires TLS: set url to ldaps://... or start_tls to true"
_ENTRY_LIMIT = (
    "the directory limits the entries that a search by bind_dn returns: ask its administrator to "
    "raise the limit for bind_dn (in OpenLDAP: limits ... size.prtotal=unlimited), or narrow "
    "base_dn"
)
_ADVICE = {
    results.RESULT_TIME_LIMIT_EXCEEDED: (
        "ask the directory's administrator to raise the time limit for bind_dn or to index "
        "modifyTimestamp and objectClass, or narrow base_dn"
    ),
    results.RESULT_SIZE_LIMIT_EXCEEDED: _ENTRY_LIMIT,
    results.RESULT_ADMIN_LIMIT_EXCEEDED: _ENTRY_LIMIT,
    results.RESULT_STRONGER_AUTH_REQUIRED: _TLS_REQUIRED,
    results.RESULT_CONFIDENTIALITY_REQUIRED: _TLS_REQUIRED,
    results.RESULT_REFERRAL: "base_dn is on another server: set url to that server",
    results.RESULT_UNAVAILABLE_CRITICAL_EXTENSION: (
        "tap-ldap requires paged results (RFC 2696), which the directory does not allow for bind_dn"
    ),
    results.RESULT_NO_SUCH_OBJECT: "base_dn does not exist, or bind_dn may not read it",
    results.RESULT_INVALID_DN_SYNTAX: "base_dn or bind_dn is not a DN; correct it",
    results.RESULT_INAPPROPRIATE_AUTHENTICATION: (
        "the directory does not allow anonymous access: set bind_dn and password"
    ),
    results.RESULT_INVALID_CREDENTIALS: "the directory rejects bind_dn and password",
    results.RESULT_INSUFFICIENT_ACCESS_RIGHTS: "give bind_dn permission to read below base_dn",
}


class DirectoryError(Exception):
    """An error that ends the sync, with a message of one line for the user."""


class UntrustedError(Exception):
    """The server's certificate is not trusted, or is for another host."""


def is_temporary(error: Exception) -> bool:
    """Return whether a retry may help: the server is busy or the connection failed."""
    if _is_untrusted(error):
        return False
    temporary = (
        LDAPBusyResult,
        LDAPCommunicationError,
        LDAPResponseTimeoutError,
        LDAPUnavailableResult,
        OSError,
    )
    return isinstance(error, temporary)


def explain(error: Exception) -> str:
    """Return in one line what is wrong and what to do."""
    if isinstance(error, LDAPOperationResult):
        detail = " ".join(str(error.message or "").replace("\0", "").split())[:300]
        result = f"returned {error.description}" + (f" ({detail})" if detail else "")
        advice = _ADVICE.get(error.result)
        return f"{result}: {advice}" if advice else result
    reason = "; ".join(dict.fromkeys(" ".join(str(each).split()) for each in _causes(error)))
    if _is_untrusted(error):
        return (
            f"{reason}: set ca_file to the directory's certificate authority, and url to a host "
            "name that is in its certificate"
        )
    return f"{reason}; is url correct?" if isinstance(error, LDAPSocketOpenError) else reason


def _is_untrusted(error: Exception) -> bool:
    return any(isinstance(each, UntrustedError) for each in _causes(error))


def _causes(error: Exception) -> Iterator[Exception]:
    """Yield the error of each address of the server, or the error itself."""
    history = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], list) else []
    yield from (each for each, _ in history) if history else (error,)
