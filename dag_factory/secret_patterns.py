"""What counts as a secret where no plugin declares it: by its name, its form, or its randomness.

The forms are taken from gitleaks and detect-secrets, for services that data comes from or goes to.
`secret_in` judges a value that was read. `secret_start` judges a line of YAML, even if it cannot be
read, and `without_secrets` a message: both find at least what `secret_in` finds there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from math import log2
from typing import Any

# ENV_VAR_PATTERN of meltano/core/utils; $(VAR) of Kubernetes; {{ }} of Jinja.
_REFERENCE = re.compile(r"\$(?:[A-Z][A-Z0-9_]*|\{\w+\}|\(\w+\))|\{\{.{0,200}?\}\}", re.DOTALL)
_PLACEHOLDER = re.compile(
    r"<.*>|\{[\w .-]*\}|\[[\w .-]*\]|x{3,}|\*+|\.{3}|-+|_+"
    r"|.*(?:change|replace|fill)[-_ ]?(?:me|this|it|in)\b.*|.*placeholder.*|your[-_ ].*|.*example"
    r"|to[-_ ]?do|tbd|dummy|none|null|n/?a|true|false|yes|no|on|off",
    re.IGNORECASE,
)
_NAME_PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_NAME = re.compile(
    r"(?:.*(?:password|passwd|passphrase|pwd|secret|api_?key|credentials?)"
    r"|(?:.*_)?(?:pass|passcode|authorization|url_auth|connection_string|service_account_info)"
    r"|(?:.*_)?(?:access|account|auth|encryption|master|private|secret|signing|storage)_key(?:_id)?"
    r"|(?!.*(?:page|next|continuation)_token$).*token|.*passwords"
    r"|(?:.*_)?(?:api_keys|(?:access|api|auth|bearer)_tokens))"
    r"(?:_(?:json|string|value|base64|b64|dev|test|staging|stg|prod|production|old|new|\d+))*"
)
_SUSPICIOUS_NAME = re.compile(
    r"pass|pwd|secret|token|credential|auth|key_id|api_?key|access_?key|private_?key"
)
_FILE = re.compile(
    r"[.~]{0,2}/.*|[A-Za-z]:\\.*|\S*\.(?:json|ya?ml|pem|p8|p12|pfx|key|crt|cer|txt|toml|ini|env)"
)
_ADDRESS = re.compile(r"[a-z][\w+.-]*://\S*")
# Bounded: otherwise the search would not be linear.
_PASSWORD_IN_ADDRESS = re.compile(r"(?<![\w+.-])[a-zA-Z][\w+.-]{0,30}://[^\s/:@]*:([^\s/@]+)@")
_USER_IN_ADDRESS = re.compile(r"(?<![\w.-])(?:[a-z]{1,9}\+)?https?://(?!git@)([^\s/:@]+)@")
_ASSIGNED = re.compile(
    r"(?:(?<![\w-])--([\w-]{1,60})[ =]|(?<![\w.-])([\w.-]{1,60})=)"
    r"[\"']?(\{\{.{0,200}?\}\}|[^=\s\"'&;,][^\s\"'&;,]*)"
)
_FORMS = {
    "private key": r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY",
    "token of GitHub": r"\bgh[opsur]_\w{30,}|\bgithub_pat_\w{22,}",
    "token of GitLab": r"\bglpat-[\w-]{20,}",
    "key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "token of Slack": r"\bxox[abeprs]-[\w-]{10,}|hooks\.slack\.com/services/\w+/\w+/\w+",
    "key of Google": r"\bAIza[\w-]{35}|\bGOCSPX-[\w-]{20,}|\bya29\.[\w-]{20,}",
    "key of Azure": r"[?&]sig=[\w%]{20,}",
    "key of Stripe": r"\b[rs]k_(?:live|test)_\w{16,}",
    "token of Shopify": r"\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}",
    "token of HubSpot": r"\bpat-[a-z]{2}\d-[0-9a-f-]{36}",
    "token of Databricks": r"\bdapi[0-9a-f]{32}",
    "key of SendGrid": r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    "token of PyPI": r"\bpypi-[\w-]{50,}",
    "key of OpenAI or Anthropic": r"\bsk-(?:ant|proj|svcacct)-[\w-]{20,}|\bsk-[A-Za-z0-9]{40,}",
    "JSON web token": r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+",
}
_ANY_FORM = re.compile("|".join(_FORMS.values()))
_SHORTEST_FORM = 16
_PUBLIC_NAME = re.compile(
    r"(?:.*_)?(?:ids?|uuid|sha\d*|hash|seed|digest|commit|ref|revision|checksum|fingerprint)"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_~-]{20,}={0,2}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_JOINT = re.compile(r"[+/_~=-]+")
_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_LEAST_BITS = 3.0
_LEAST_RUNS = 0.3
_KEY = re.compile(r"(\w[\w .-]{0,60})[\"']?\s*:")
_WORD = re.compile(r"\w[\w .-]*")
_END_OF_FLOW_VALUE = re.compile(r"[,\]}]")
_AROUND_VALUE = " \t[\"'"

UNNAMED_KEYS = ("value", "default")
"""The keys whose values another key names: `{name: TOKEN, value: x}`, `TOKEN: {default: x}`."""
MASK = "***"
"""What is shown instead of a secret."""


def is_literal(value: Any) -> bool:
    """Return whether a value, or a value within it, is plaintext.

    It is not if it is empty, refers to a variable, is a template, or is a placeholder such as
    `<token>`, `changeme`, `xxx` or `your-password`.
    """
    if isinstance(value, dict):
        return any(map(is_literal, value.values()))
    if isinstance(value, list):
        return any(map(is_literal, value))
    if not isinstance(value, str):
        return value is not None and not isinstance(value, bool)
    text = value.strip()
    return bool(text) and not (_REFERENCE.search(text) or _PLACEHOLDER.fullmatch(text))


def secret_in(name: str, value: Any, *, by_name: bool = True) -> str | None:
    """Return why a value is a secret, as words that follow its name; `None` for no secret.

    Args:
        name: The name of the value.
        value: A value that is neither a mapping nor a list.
        by_name: Whether the name tells something about the value: the name of a column does not.
    """
    if isinstance(value, str):
        if "://" in value and any(_credentials(value)):
            return "holds an address with a credential"
        if len(value) >= _SHORTEST_FORM and (found := next(_tokens(value), None)):
            return f"holds a {_form(found[0])}"
        if ("=" in value or "--" in value) and any(_secret_arguments(value)):
            return "holds a secret as an argument or parameter"
    if by_name and _is_secret(name, value):
        return "is a secret by its name"
    if by_name and isinstance(value, str) and _is_random(value) and not _is_public(name):
        return "is as random as a secret"
    return None


def secret_start(line: str) -> int | None:
    """Return the index at which the first secret of a line of YAML begins; `None` for no secret.

    The rest of the line may belong to the secret. In doubt, a value is a secret.
    """
    starts = (
        *(start for start, _ in _spans(line)),
        *_starts_by_name(line),
        *_starts_of_random(line),
    )
    return min(starts, default=None)


def without_secrets(text: str) -> str:
    """Return a text with the secrets masked that need no name to be known."""
    parts, end = [], 0
    for start, stop in sorted(_spans(text)):
        if start >= end:
            parts += [text[end:start], MASK]
        end = max(end, stop)
    return "".join([*parts, text[end:]])


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each secret in a text that needs no name to be known."""
    yield from (match.span(1) for match in _credentials(text))
    yield from (match.span() for match in _tokens(text))
    yield from (match.span(3) for match in _secret_arguments(text))


def _credentials(text: str) -> Iterator[re.Match[str]]:
    for pattern in (_PASSWORD_IN_ADDRESS, _USER_IN_ADDRESS):
        yield from (match for match in pattern.finditer(text) if is_literal(match[1]))


def _tokens(text: str) -> Iterator[re.Match[str]]:
    yield from (match for match in _ANY_FORM.finditer(text) if is_literal(match[0]))


def _secret_arguments(text: str) -> Iterator[re.Match[str]]:
    for match in _ASSIGNED.finditer(text):
        if _is_secret(match[1] or match[2], match[3]):
            yield match


def _form(token: str) -> str:
    return next(name for name, pattern in _FORMS.items() if re.match(pattern, token))


def _starts_by_name(line: str) -> Iterator[int]:
    """Yield where the values begin whose names on the line are those of secrets."""
    for key in _KEY.finditer(line):
        value = line[key.end() :].lstrip(_AROUND_VALUE)
        names = _WORD.findall(line) if key[1] in UNNAMED_KEYS else [key[1]]
        if value.startswith("{"):
            continue
        for written in (value, value.partition(" #")[0]):
            for each in (written, _END_OF_FLOW_VALUE.split(written)[0]):
                text = each.strip(_AROUND_VALUE)
                if any(_is_secret(name, text) or _may_be_secret(name, text) for name in names):
                    yield len(line) - len(value)


def _starts_of_random(line: str) -> Iterator[int]:
    keys = [*_KEY.finditer(line)]
    for match in _RANDOM.finditer(line):
        key = next((each[1] for each in reversed(keys) if each.end() <= match.start()), "")
        if _is_random(match[0]) and not _is_public(key):
            yield match.start()


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Return `apiKey`, `API-KEY` and `api.key` as `api_key`."""
    return _NAME_PARTS.sub("_", name).strip("_").lower()


@lru_cache(maxsize=4096)
def _has_secret_name(name: str) -> bool:
    return _SECRET_NAME.fullmatch(_plain(name)) is not None


def _may_be_secret(name: str, text: str) -> bool:
    """Return whether an excerpt hides a value although `secret_in` may not call it a secret."""
    plain = _plain(name)
    is_suspicious = plain != "secrets" and _SUSPICIOUS_NAME.search(plain) is not None
    return is_suspicious and is_literal(text)


def _is_public(name: str) -> bool:
    return _PUBLIC_NAME.fullmatch(_plain(name)) is not None


def _is_secret(name: str, value: Any) -> bool:
    """Return whether the name of a value suggests a secret, and the value could be one."""
    if not (_has_secret_name(name) and is_literal(value)):
        return False
    if not isinstance(value, str) or _is_random(value):
        return True
    return not (_FILE.fullmatch(value) or _ADDRESS.fullmatch(value))


def _is_random(text: str) -> bool:
    """Return whether a text has many different characters, and changes often between their kinds.

    Words and dates change seldom, even if dashes join them; by entropy alone they would be random.
    """
    if not _RANDOM.fullmatch(text) or _UUID.fullmatch(text):
        return False
    joined = _JOINT.sub("", text)
    if len(_RUNS.findall(joined)) < _LEAST_RUNS * len(joined):
        return False
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * log2(share) for share in shares) >= _LEAST_BITS
