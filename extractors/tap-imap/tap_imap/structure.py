"""The parts of a message, as the server describes them before any of them is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from imapclient.response_types import BodyData

from tap_imap.texts import as_text, decoded_words, storable

BODY_TYPES = {"text/plain", "text/html"}
NESTED = "message/rfc822"


@dataclass(frozen=True)
class Part:
    """A part that holds no parts, or a whole message within the message.

    Attributes:
        section: IMAP's number of it, such as 2 or 2.1.
        content_type: Such as text/csv, in small letters.
        charset: The character set that it says it has.
        encoding: How its bytes are written, such as base64.
        size: Bytes, as encoded.
        disposition: attachment or inline, if the sender said so.
        filename: The name that the sender gave it.
        content_id: By which an HTML text may show it.
        description: What the sender says that it is.
        is_body: Whether it is the message's own text, and no attachment.
    """

    section: str
    content_type: str
    charset: str | None
    encoding: str
    size: int
    disposition: str | None
    filename: str | None
    content_id: str | None
    description: str | None
    is_body: bool


def parts(structure: BodyData) -> list[Part]:
    """Return the parts of a message, those of messages within it included."""
    return list(_walk(structure, "", nested=False))


def _walk(node: BodyData, section: str, *, nested: bool) -> Iterator[Part]:
    if node.is_multipart:
        for number, child in enumerate(node[0], start=1):
            yield from _walk(child, f"{section}.{number}".lstrip("."), nested=nested)
        return
    part = _part(node, section or "1", nested=nested)
    yield part
    if part.content_type == NESTED and isinstance(node[8], tuple):
        inner = BodyData.create(node[8])
        below = part.section if inner.is_multipart else f"{part.section}.1"
        yield from _walk(inner, below, nested=True)


def _part(node: BodyData, section: str, *, nested: bool) -> Part:
    content_type = f"{as_text(node[0])}/{as_text(node[1])}".lower()
    # Before the disposition stand a text's lines, or a message's envelope, structure and lines.
    place = 11 if content_type == NESTED else 9 if content_type.startswith("text/") else 8
    disposition, its_parameters = (node[place] if len(node) > place else None) or (None, None)
    parameters = _parameters(node[2])
    filename = _filename(_parameters(its_parameters), parameters)
    disposition = as_text(disposition).lower() or None
    return Part(
        section=section,
        content_type=content_type,
        charset=parameters.get("charset"),
        encoding=as_text(node[5]).lower(),
        size=node[6] or 0,
        disposition=disposition,
        filename=filename,
        content_id=as_text(node[3]).strip("<> ") or None,
        description=decoded_words(as_text(node[4])) or None,
        is_body=content_type in BODY_TYPES
        and not (nested or filename or disposition == "attachment"),
    )


def _parameters(pairs: Any) -> dict[str, str]:
    words = [as_text(word) for word in pairs or ()]
    return dict(zip((word.lower() for word in words[::2]), words[1::2], strict=False))


def _filename(disposition: dict[str, str], content_type: dict[str, str]) -> str | None:
    """Return the name, whether it is plain, in encoded words, or in pieces as RFC 2231 has it."""
    for words, key in ((disposition, "filename"), (content_type, "name")):
        message = Message()
        message["X"] = "x" + "".join(f"; {name}={_quoted(word)}" for name, word in words.items())
        value = message.get_param(key, header="X")
        if isinstance(value, tuple):
            charset, _, text = value
            return storable(as_text(text.encode("latin-1", "replace"), charset)) or None
        if value:
            return decoded_words(str(value)) or None
    return None


def _quoted(word: str) -> str:
    return '"{}"'.format(word.replace("\\", r"\\").replace('"', r"\""))
