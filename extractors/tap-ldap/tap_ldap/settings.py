"""Checks of the settings that their types do not cover."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from ldap3.core.exceptions import LDAPException
from ldap3.operation.search import parse_filter
from ldap3.utils.dn import parse_dn

_PORTS = range(1, 1 << 16)

# Password hashes and keys, in lower case: they must never be loaded into a warehouse.
_SECRET_ATTRIBUTES = {
    "authpassword",
    "ipanthash",
    "krbmkey",
    "krbprincipalkey",
    "krbpwdhistory",
    "lmpwdhistory",
    "ms-mcs-admpwd",
    "mslaps-encryptedpassword",
    "mslaps-encryptedpasswordhistory",
    "mslaps-password",
    "ntpwdhistory",
    "olcrootpw",
    "pwdhistory",
    "sambalmpassword",
    "sambantpassword",
    "sambapasswordhistory",
    "supplementalcredentials",
    "unicodepwd",
    "userpassword",
    "userpkcs12",
}


def problems(config: Mapping[str, Any]) -> list[str]:
    """Return a message for each invalid setting."""
    return [
        *_connection_problems(config),
        *_search_problems(config),
        *_attribute_problems(config["attributes"]),
    ]


def _connection_problems(config: Mapping[str, Any]) -> Iterator[str]:
    address = re.fullmatch(
        r"ldaps?://(?:[\w.-]+|\[[\da-f:]+])(?::(\d{1,5}))?/?", config["url"], re.IGNORECASE
    )
    if not address or int(address[1] or 1) not in _PORTS:
        yield "url must be like ldaps://ldap.example.org or ldap://ldap.example.org:389"
    if bool(config.get("bind_dn")) != bool(config.get("password")):
        yield "set both bind_dn and password, or neither"
    if ca_file := config.get("ca_file"):
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            yield f"ca_file {ca_file} is not a PEM file of certificates: {error.strerror or error}"


def _search_problems(config: Mapping[str, Any]) -> Iterator[str]:
    try:
        parse_dn(config["base_dn"])
    except LDAPException:
        yield "base_dn must be a DN, such as dc=example,dc=org"
    for name in ("people_filter", "groups_filter"):
        try:
            parse_filter(config[name], None, True, True, None, False)
        except LDAPException:
            yield f"{name} must be an LDAP filter, such as (objectClass=person)"


def _attribute_problems(names: list[str]) -> Iterator[str]:
    for name in names:
        # A wildcard or an OID would bypass the list of secret attributes.
        if not re.fullmatch(r"[A-Za-z][A-Za-z\d-]*", name):
            yield f"attributes: {name} is not an attribute name"
        elif name.lower() in _SECRET_ATTRIBUTES:
            yield f"attributes: {name} is a secret, which tap-ldap never reads; remove it"
