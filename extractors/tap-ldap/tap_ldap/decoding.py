"""Entries as they come off the wire.

ldap3 makes a second, decoded copy of every value and looks up a setting for each; that is half of
what reading a directory costs. Here values stay bytes, which is all that the columns need.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ldap3 import Connection

_ENTRY = 4
"""The tag of searchResEntry, RFC 4511, 4.5.2."""


def leave_values_alone(connection: Connection) -> None:
    """Have a connection give the values of entries as bytes only."""
    strategy = connection.strategy
    strategy.decode_response_fast = partial(_decode, strategy.decode_response_fast)


def _decode(
    otherwise: Callable[[dict[str, Any]], dict[str, Any]], message: dict[str, Any]
) -> dict[str, Any]:
    if message["protocolOp"] != _ENTRY:
        return otherwise(message)
    # ldap3's elements are (class, constructed, tag, value).
    dn, attributes = message["payload"]
    values = {}
    for attribute in attributes[3]:
        name, found = attribute[3]
        values[name[3].decode()] = [value[3] for value in found[3]]
    return {
        "type": "searchResEntry",
        "dn": dn[3].decode(),
        "raw_attributes": values,
        # ldap3 appends to both when it fetches the rest of a long list (member;range=0-1499).
        "attributes": {name: [*each] for name, each in values.items()},
    }
