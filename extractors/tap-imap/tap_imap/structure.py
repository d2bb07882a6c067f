"""The parts of a message, as the server describes them without sending their content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

from imapclient.response_types import BodyData

from tap_imap.texts import as_text, decoded_words, storable

BODY_TYPES = {"text/plain", "text/html"}
NESTED_MESSAGE = "message/rfc822"


@dataclass(frozen=True)
class Part:
    """A part without parts of its own, or a whole message within the message.

    Attributes:
        section: Its number in IMAP, such as 2 or 2.1.
        content_type: Its content type in lower case, such as text/csv.
        charset: The character set named by the sender.
        encoding: Its transfer encoding, such as base64.
        size: Its size in bytes, as encoded.
        disposition: attachment or inline, if the sender set either.
        filename: The name set by the sender.
        content_id: The ID by which an HTML text may refer to it.
        description: The description by the sender.
        is_body: Whether it is the message's own text rather than an attachment.
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
    """Return the parts of a message, including the parts of messages within it."""
    return list(_walk(structure, "", nested=False))


def _walk(node: BodyData, section: str, *, nested: bool) -> Iterator[Part]:
    if node.is_multipart:
        for number, child in enumerate(node[0], start=1):
            yield from _walk(child, f"{section}.{number}".lstrip("."), nested=nested)
        return
    part = _part(node, section or "1", nested=nested)
    yield part
    if part.content_type == NESTED_MESSAGE and isinstance(node[8], tuple):
        inner = BodyData.create(node[8])
        below = part.section if inner.is_multipart else f"{part.section}.1"
        yield from _walk(inner, below, nested=True)


def _part(node: BodyData, section: str, *, nested: bool) -> Part:
    content_type = f"{as_text(node[0])}/{as_text(node[1])}".lower()
    # A text has its lines before the disposition; a message its envelope, structure and lines.
    place = 11 if content_type == NESTED_MESSAGE else 9 if content_type.startswith("text/") else 8
    disposition, disposition_pairs = (node[place] if len(node) > place else None) or (None, None)
    parameters = _parameters(node[2])
    filename = _filename(_parameters(disposition_pairs), parameters)
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
    """Return the file name, which may be plain, in encoded words, or in the form of RFC 2231."""
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
