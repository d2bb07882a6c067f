"""Faster decoding of entries.

ldap3 makes a second, decoded copy of every value and looks up a setting for each. That is half the
cost of reading a directory. Here values stay bytes, which is all that the columns need.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ldap3 import Connection

_SEARCH_RESULT_ENTRY = 4
"""The tag of searchResEntry, RFC 4511, section 4.5.2."""


def skip_value_decoding(connection: Connection) -> None:
    """Make a connection return the values of entries as bytes only."""
    strategy = connection.strategy
    strategy.decode_response_fast = partial(_decode, strategy.decode_response_fast)


def _decode(
    decode_other: Callable[[dict[str, Any]], dict[str, Any]], message: dict[str, Any]
) -> dict[str, Any]:
    if message["protocolOp"] != _SEARCH_RESULT_ENTRY:
        return decode_other(message)
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
