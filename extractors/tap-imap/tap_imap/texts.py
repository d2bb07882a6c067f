"""Decoding the bytes of mails, including invalid character sets, dates and names."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "euc-kr": "cp949", "iso-8859-1": "cp1252"}
"""The character set that mail programs use when they name an older one."""


def storable(text: str) -> str:
    """Remove what databases reject: null characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def as_text(data: object, charset: str | None = None) -> str:
    """Return bytes as text: in the given character set, or else UTF-8, or else Windows-1252.

    Args:
        data: The bytes. None becomes an empty text, and any other value its string form.
        charset: The character set named by the sender, which may be wrong or unknown.
    """
    if not isinstance(data, bytes):
        return "" if data is None else str(data)
    marked = [name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)]
    named = (charset or "utf-8").strip().lower()
    for name in (*marked, SUPERSETS.get(named, named), "utf-8"):
        try:
            return storable(data.decode(name))
        # A codec that does not decode to text, such as "hex", raises errors of its own.
        except (LookupError, ValueError):
            continue
    return storable(data.decode("cp1252", "replace"))


def payload(data: bytes, encoding: str) -> bytes:
    """Return the decoded bytes of a part; of a broken encoding, as much as can be decoded."""
    message = Message()
    message["Content-Transfer-Encoding"] = encoding
    message.set_payload(data.decode("ascii", "surrogateescape"))
    decoded = message.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def decoded_words(raw: str) -> str:
    """Return a header's text with its =?encoded words?= decoded."""
    if "=?" not in raw:
        return " ".join(storable(raw).split())
    try:
        pieces = decode_header(raw)
    except (HeaderParseError, ValueError):
        return storable(raw)
    texts = (
        as_text(piece, charset) if isinstance(piece, bytes) else storable(piece)
        for piece, charset in pieces
    )
    return " ".join("".join(texts).split())


class Headers:
    """The headers of a message, any of which may be missing or invalid.

    Args:
        data: The bytes of the message up to the empty line.
    """

    def __init__(self, data: bytes) -> None:
        self._raw: dict[str, list[str]] = {}
        for name, value in BytesHeaderParser().parsebytes(data).raw_items():
            raw = str(value)
            if not raw.isascii():
                # The parser represents bytes beyond ASCII as halves of surrogate pairs.
                raw = as_text(raw.encode("utf-8", "surrogateescape"))
            self._raw.setdefault(storable(name.lower()), []).append(raw)

    def all(self) -> dict[str, list[str]]:
        """Return all headers by lower-case name."""
        return {name: [decoded_words(each) for each in raw] for name, raw in self._raw.items()}

    def text(self, name: str) -> str | None:
        """Return the text of the first header of a name, or None."""
        return decoded_words(self._raw[name][0]) if name in self._raw else None

    def message_ids(self, name: str) -> list[str]:
        """Return the message IDs in a header: the texts within <>."""
        text = self.text(name) or ""
        return [piece.partition(">")[0].strip() for piece in text.split("<")[1:]]

    def addresses(self, name: str) -> list[dict[str, str | None]]:
        """Return the people in a header; the name or the address of each may be missing."""
        found = getaddresses([" ".join(each.split()) for each in self._raw.get(name, [])])
        return [
            {"name": decoded_words(person) or None, "address": storable(address) or None}
            for person, address in found
            if person or address
        ]

    def date(self, name: str) -> str | None:
        """Return a header's date in UTC, or None if it is missing or invalid."""
        if name not in self._raw:
            return None
        try:
            moment = parsedate_to_datetime(self._raw[name][0])
            return in_utc(moment)
        except (TypeError, ValueError, OverflowError, IndexError):
            return None


def in_utc(moment: datetime) -> str:
    """Return a time in UTC as databases read it; without a time zone it is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
