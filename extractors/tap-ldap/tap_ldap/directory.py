"""The directory server: connecting, searching page by page, and retrying.

ldap3's documentation: https://ldap3.readthedocs.io
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ldap3 import BASE, DEREF_NEVER, NONE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException, LDAPOperationResult
from ldap3.core.results import RESULT_SUCCESS
from ldap3.protocol.rfc4512 import AttributeTypeInfo

from tap_ldap.decoding import skip_value_decoding
from tap_ldap.faults import DirectoryError, UntrustedError, explain, is_temporary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Entry = tuple[str, dict[str, list[bytes]]]
"""A DN, and the values of its attributes by their names in lower case."""

Scope = Literal["BASE", "SUBTREE"]

WAITS = (2, 4, 8, 16)
"""Seconds between the attempts of a search."""

CONNECT_TIMEOUT = 30
"""Seconds to wait for a connection."""

ANSWER_TIMEOUT = 300
"""Seconds to wait for a response: a search without an index is slow."""

RECEIVE_BUFFER_SIZE = 1 << 20
"""Bytes. With ldap3's default of 4 KB, a large group would be copied thousands of times."""

_PAGED_RESULTS = "1.2.840.113556.1.4.319"
_ACTIVE_DIRECTORY = b"1.2.840.113556.1.4.800"
_ANY_ENTRY = "(objectClass=*)"
_BINARY_SYNTAXES = {
    # Audio, binary, certificates, fax, JPEG, octets.
    f"1.3.6.1.4.1.1466.115.121.1.{number}"
    for number in (4, 5, 8, 9, 10, 23, 28, 40)
}

_log = logging.getLogger(__name__)


class VerifiedTls(Tls):
    """TLS that checks the certificate and the host name as Python does by default.

    With Python 3.12 or newer, ldap3's own check does not support IP addresses.
    """

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:  # noqa: ARG002
        """Start TLS on the connection's socket."""
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        try:
            connection.socket = context.wrap_socket(
                connection.socket, server_hostname=connection.server.host
            )
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(f"certificate rejected, {error.verify_message}") from error


class Directory:
    """A directory server.

    Args:
        config: The tap's settings.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._url = urlsplit(config["url"])

    @cached_property
    def is_active_directory(self) -> bool:
        """Whether it is Active Directory, or Samba as a domain controller."""
        root = self._read_one("", "supportedCapabilities")
        return _ACTIVE_DIRECTORY in root.get("supportedcapabilities", ())

    def binary_among(self, names: Sequence[str]) -> set[str]:
        """Return the attributes whose values are not text, according to the directory's schema.

        Raises:
            DirectoryError: An attribute is not in the schema that the directory publishes.
        """
        root = self._read_one("", "subschemaSubentry")
        where = root.get("subschemasubentry", [b""])[0].decode()
        schema = self._read_one(where, "attributeTypes") if where else {}
        known = AttributeTypeInfo.from_definition(schema.get("attributetypes", []))
        if schema and (unknown := [name for name in names if name not in known]):
            raise DirectoryError(f"attributes: not in the directory's schema: {', '.join(unknown)}")
        return {name for name in names if name in known and known[name].syntax in _BINARY_SYNTAXES}

    def search(
        self, base: str, search_filter: str, attributes: Sequence[str], scope: Scope = SUBTREE
    ) -> Iterator[Entry]:
        """Yield the entries that match; begin again with the first if the connection is lost.

        Raises:
            DirectoryError: The directory cannot be reached or rejects the search.
        """
        for wait in (*WAITS, None):
            try:
                with self._connected() as connection:
                    yield from self._pages(connection, base, search_filter, attributes, scope)
            except (LDAPException, OSError) as error:
                message = f"{self._config['url']}: {explain(error)}"
                if wait is None or not is_temporary(error):
                    raise DirectoryError(message) from error
                _log.warning("%s; retrying in %s s", message, wait)
                time.sleep(wait)
            else:
                return

    def _read_one(self, dn: str, attribute: str) -> dict[str, list[bytes]]:
        entries = list(self.search(dn, _ANY_ENTRY, [attribute], BASE))
        return entries[0][1] if entries else {}

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a bound connection, over TLS unless the settings disable it."""
        secure = self._url.scheme == "ldaps"
        server = Server(
            self._url.hostname,
            self._url.port,
            use_ssl=secure,
            tls=VerifiedTls(ca_certs_file=self._config.get("ca_file")),
            get_info=NONE,
            connect_timeout=CONNECT_TIMEOUT,
        )
        connection = Connection(
            server,
            self._config.get("bind_dn"),
            self._config.get("password"),
            auto_referrals=False,
            check_names=False,
            raise_exceptions=True,
            read_only=True,
            receive_timeout=ANSWER_TIMEOUT,
            return_empty_attributes=False,
        )
        connection.strategy.socket_size = RECEIVE_BUFFER_SIZE
        skip_value_decoding(connection)
        try:
            connection.open(read_server_info=False)
            if self._config["start_tls"] and not secure:
                self._start_tls(connection)
            connection.bind(read_server_info=False)
            yield connection
        finally:
            with suppress(LDAPException, OSError):
                connection.unbind()
            # ldap3 leaves the socket open if TLS fails.
            if connection.socket:
                connection.socket.close()

    def _start_tls(self, connection: Connection) -> None:
        try:
            connection.start_tls(read_server_info=False)
        except LDAPOperationResult as error:
            raise DirectoryError(
                f"{self._config['url']} does not support StartTLS: set url to ldaps://..., or "
                "start_tls to false if the password may be sent in plaintext"
            ) from error

    def _pages(
        self,
        connection: Connection,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        scope: Scope,
    ) -> Iterator[Entry]:
        cookie = None
        while cookie != b"":
            connection.search(
                base,
                search_filter,
                scope,
                DEREF_NEVER,
                attributes,
                paged_size=None if scope == BASE else self._config["page_size"],
                paged_criticality=True,
                paged_cookie=cookie,
            )
            for entry in connection.response or ():
                if entry["type"] == "searchResEntry":
                    yield (
                        entry["dn"],
                        {
                            name.lower().removesuffix(";binary"): values
                            for name, values in entry["raw_attributes"].items()
                        },
                    )
            # ldap3 does not raise for all failures; without this check, rows would be missing.
            result = connection.result
            if result["result"] != RESULT_SUCCESS:
                raise LDAPOperationResult(
                    result["result"], result["description"], result["dn"], result["message"]
                )
            pages = result.get("controls", {}).get(_PAGED_RESULTS)
            cookie = pages["value"]["cookie"] if pages else b""
