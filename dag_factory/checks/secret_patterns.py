"""What looks like a secret where no plugin declares it: by its name, its form, or its randomness.

The forms are those of gitleaks and detect-secrets for services that data comes from or goes to.
Everything here is about one name or one text; nothing keeps or returns the secret itself.
"""

from __future__ import annotations

import re
from collections import Counter
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
_FILE = re.compile(
    r"[.~]{0,2}/.*|[A-Za-z]:\\.*|\S*\.(?:json|ya?ml|pem|p8|p12|pfx|key|crt|cer|txt|toml|ini|env)"
)
_ADDRESS = re.compile(r"[a-z][\w+.-]*://\S*")
# Bounded, so that the search is linear.
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


def is_literal(value: Any) -> bool:
    """Return whether a value, or one within it, stands in clear.

    That is: no reference to a variable, no template, not empty, and no placeholder such as
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
    """Return how a value gives a secret away, as words after its name; `None` for no secret.

    Args:
        name: What the value is called.
        value: No mapping and no list.
        by_name: Whether the name says something of the value: that of a column does not.
    """
    if isinstance(value, str):
        if "://" in value and _has_credential(value):
            return "holds an address with a credential"
        if len(value) >= _SHORTEST_FORM and (form := _form(value)):
            return f"holds a {form}"
        if ("=" in value or "--" in value) and any(
            _is_secret(flag or parameter, given)
            for flag, parameter, given in _ASSIGNED.findall(value)
        ):
            return "gives a secret as an argument or parameter"
    if by_name and _is_secret(name, value):
        return "is by its name a secret"
    if by_name and isinstance(value, str) and _is_random(value) and not _is_public(name):
        return "is as random as a secret"
    return None


def _has_credential(text: str) -> bool:
    patterns = (_PASSWORD_IN_ADDRESS, _USER_IN_ADDRESS)
    return any(is_literal(each) for pattern in patterns for each in pattern.findall(text))


def _form(text: str) -> str | None:
    found = _ANY_FORM.search(text)
    if found is None or not is_literal(found[0]):
        return None
    return next(name for name, pattern in _FORMS.items() if re.match(pattern, found[0]))


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Return `apiKey`, `API-KEY` and `api.key` as `api_key`."""
    return _NAME_PARTS.sub("_", name).strip("_").lower()


@lru_cache(maxsize=4096)
def _is_called_secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(_plain(name)) is not None


def _is_public(name: str) -> bool:
    return _PUBLIC_NAME.fullmatch(_plain(name)) is not None


def _is_secret(name: str, value: Any) -> bool:
    """Return whether a value is called a secret, and may be one."""
    if not (_is_called_secret(name) and is_literal(value)):
        return False
    if not isinstance(value, str) or _is_random(value):
        return True
    return not (_FILE.fullmatch(value) or _ADDRESS.fullmatch(value))


def _is_random(text: str) -> bool:
    """Return whether a text has many different characters, and changes often between their kinds.

    Words and dates change seldom, also where dashes join them; entropy alone would take them.
    """
    if not _RANDOM.fullmatch(text) or _UUID.fullmatch(text):
        return False
    joined = _JOINT.sub("", text)
    if len(_RUNS.findall(joined)) < _LEAST_RUNS * len(joined):
        return False
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * log2(share) for share in shares) >= _LEAST_BITS
