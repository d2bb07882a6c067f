"""Bytes of mails made text, whatever their senders took for a character set, a date or a name."""

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
"""What mail programs mean when they name the older character set."""


def storable(text: str) -> str:
    """Leave out what no database takes: null characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def as_text(data: object, charset: str | None = None) -> str:
    """Return bytes as text: in their own character set, else UTF-8, else Windows' Latin.

    Args:
        data: Bytes; None is no text, and anything else its own writing.
        charset: What the sender says that they are in. It may be wrong or unknown.
    """
    if not isinstance(data, bytes):
        return "" if data is None else str(data)
    marked = [name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)]
    said = (charset or "utf-8").strip().lower()
    for name in (*marked, SUPERSETS.get(said, said), "utf-8"):
        try:
            return storable(data.decode(name))
        # A codec that is none of text, such as "hex", raises errors of its own.
        except (LookupError, ValueError):
            continue
    return storable(data.decode("cp1252", "replace"))


def payload(data: bytes, encoding: str) -> bytes:
    """Return the bytes of a part without base64 or quoted-printable, broken ones as far as read."""
    message = Message()
    message["Content-Transfer-Encoding"] = encoding
    message.set_payload(data.decode("ascii", "surrogateescape"))
    decoded = message.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def decoded_words(raw: str) -> str:
    """Return a header's text, its =?encoded words?= in clear."""
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
    """The headers of a message, none of which is to be relied on.

    Args:
        data: The bytes up to the empty line.
    """

    def __init__(self, data: bytes) -> None:
        self._raw: dict[str, list[str]] = {}
        for name, value in BytesHeaderParser().parsebytes(data).raw_items():
            raw = str(value)
            if not raw.isascii():
                # The parser keeps bytes beyond ASCII as halves of surrogate pairs.
                raw = as_text(raw.encode("utf-8", "surrogateescape"))
            self._raw.setdefault(storable(name.lower()), []).append(raw)

    def all(self) -> dict[str, list[str]]:
        """Return every header by its name in small letters."""
        return {name: [decoded_words(each) for each in raw] for name, raw in self._raw.items()}

    def text(self, name: str) -> str | None:
        """Return the first header of a name, or None."""
        return decoded_words(self._raw[name][0]) if name in self._raw else None

    def words(self, name: str) -> list[str]:
        """Return what stands in <> in a header that lists message ids."""
        text = self.text(name) or ""
        return [piece.partition(">")[0].strip() for piece in text.split("<")[1:]]

    def addresses(self, name: str) -> list[dict[str, str | None]]:
        """Return the people of a header; a name may lack, and so may an address."""
        found = getaddresses([" ".join(each.split()) for each in self._raw.get(name, [])])
        return [
            {"name": decoded_words(person) or None, "address": storable(address) or None}
            for person, address in found
            if person or address
        ]

    def moment(self, name: str) -> str | None:
        """Return a date in UTC, or None if there is none that can be understood."""
        if name not in self._raw:
            return None
        try:
            moment = parsedate_to_datetime(self._raw[name][0])
            return in_utc(moment)
        except (TypeError, ValueError, OverflowError, IndexError):
            return None


def in_utc(moment: datetime) -> str:
    """Return a moment as databases read it; one without a time zone is taken for UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
