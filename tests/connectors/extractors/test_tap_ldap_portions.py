"""tap-ldap where a long list of members comes in portions, as from Active Directory.

No server that runs here does that, so a few lines play the two answers of [MS-ADTS] 3.1.1.3.1.3.3.
"""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from threading import Thread

import pytest

from tests.support.ldap_tap import records, sync

DN = b"CN=team,DC=example,DC=org"
GUID = bytes(range(16))
BIND, BIND_ANSWER, SEARCH, ENTRY, END = 0x60, 0x61, 0x63, 0x64, 0x65
SUCCESS = b"\x0a\x01\x00\x04\x00\x04\x00"


def ber(tag: int, *parts: bytes) -> bytes:
    """Return an element of BER, its length in two bytes."""
    body = b"".join(parts)
    return bytes([tag, 0x82, *len(body).to_bytes(2, "big")]) + body


def entry(**attributes: list[bytes]) -> bytes:
    lists = (
        ber(0x30, ber(4, name.encode()), ber(0x31, *(ber(4, value) for value in values)))
        for name, values in attributes.items()
    )
    return ber(ENTRY, ber(4, DN), ber(0x30, *lists))


class Portions(socketserver.BaseRequestHandler):
    """Answers a search with three members, and one for the rest with the other two."""

    def handle(self) -> None:
        while request := self.request.recv(65536):
            start = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
            end = start + 2 + request[start + 1]
            number, operation = request[start:end], request[end]
            if operation == BIND:
                answers = [ber(BIND_ANSWER, SUCCESS)]
            elif operation == SEARCH:
                answers = [self.found(request), ber(END, SUCCESS)]
            else:
                return
            self.request.sendall(b"".join(ber(0x30, number, answer) for answer in answers))

    def found(self, request: bytes) -> bytes:
        if b"member;range=3-*" in request:
            return entry(**{"member;range=3-*": [b"CN=d", b"CN=e"]})
        return entry(objectGUID=[GUID], **{"member;range=0-2": [b"CN=a", b"CN=b", b"CN=c"]})


@pytest.fixture
def url() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Portions) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"ldap://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_all_portions_of_a_long_list_are_read(url: str):
    settings = {"url": url, "start_tls": False, "base_dn": "DC=example,DC=org"}
    rows = records(sync(settings, only="memberships"), "memberships")
    assert [row["member"] for row in rows] == ["CN=a", "CN=b", "CN=c", "CN=d", "CN=e"]
    assert {row["group_id"] for row in rows} == {"03020100-0504-0706-0809-0a0b0c0d0e0f"}
