"""Keeps the values of secrets out of logs and errors."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from dag_factory.secret_patterns import MASK

_MIN_LENGTH = 5
_URL_SAFE = str.maketrans("+/", "-_")


def hidden_forms(values: Iterable[str]) -> frozenset[str]:
    """Return every form in which a log could show the values.

    The forms are the text, its lines, the text as URLs, JSON and Python quote it, and BASE64. If a
    value is JSON, its texts and numbers count as values, too. A form of fewer than five characters
    is left out, as masking it would make the log unreadable.
    """
    forms = {form for value in values for part in _parts(value) for form in _forms(part)}
    return frozenset(each for each in forms if len(each) >= _MIN_LENGTH)


def _parts(value: str) -> Iterator[str]:
    yield value
    try:
        yield from _leaves(json.loads(value))
    except (RecursionError, ValueError):
        return


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _forms(text: str) -> Iterator[str]:
    yield text
    yield from (each.strip() for each in text.splitlines())
    content = text.encode(errors="surrogatepass")
    yield from (quote(content), quote(content, safe=""), quote_plus(content))
    yield from (json.dumps(text, ensure_ascii=each)[1:-1] for each in (True, False))
    yield repr(text)[1:-1]
    if len(text) >= _MIN_LENGTH:
        yield from _base64_forms(content)


def _base64_forms(content: bytes) -> Iterator[str]:
    """Yield the part of BASE64 that depends on a content alone, whatever surrounds the content.

    It finds a password in `user:password`, as HTTP encodes it. Three bytes are four characters, so
    the content may begin at each of three offsets.
    """
    for before in range(3):
        encoded = b64encode(bytes(before) + content).decode()
        own = encoded[-(-before * 4 // 3) : (before + len(content)) * 4 // 3]
        yield from (own, own.translate(_URL_SAFE))


def make_mask(values: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces values by `***`, in every form of `hidden_forms`."""
    forms = sorted(hidden_forms(values), key=len, reverse=True)
    if not forms:
        return str
    pattern = re.compile("|".join(map(re.escape, forms)))
    return lambda text: pattern.sub(MASK, text)
