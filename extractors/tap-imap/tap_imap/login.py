"""Logging in, with a password or with a token that an OAuth server gives for a client's secret.

XOAUTH2: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
from imapclient import IMAPClient

from tap_imap.errors import MailServerError, TokenServerError

TIMEOUT = 60


def log_in(client: IMAPClient, config: Mapping[str, Any]) -> None:
    """Log in, unless the server says that it takes no password over this connection."""
    username = config["username"]
    if config.get("oauth_token_url"):
        client.oauth2_login(username, _token(config))
    # LOGIN knows no characters beyond ASCII.
    elif client.has_capability("AUTH=PLAIN"):
        client.plain_login(username, config["password"])
    elif client.has_capability("LOGINDISABLED"):
        raise MailServerError(
            f"{client.host}:{client.port} takes no password over this connection: set encryption "
            "to tls or starttls, or the server may want OAuth"
        )
    else:
        client.login(username, config["password"])


def _token(config: Mapping[str, Any]) -> str:
    url = config["oauth_token_url"]
    asked = {
        "grant_type": "client_credentials",
        "client_id": config["oauth_client_id"],
        "client_secret": config["oauth_client_secret"],
    }
    if refresh_token := config.get("oauth_refresh_token"):
        asked |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
    if scope := config.get("oauth_scope"):
        asked["scope"] = scope
    try:
        # A redirect would carry the secrets to an address nobody configured.
        answer = requests.post(url, data=asked, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise TokenServerError(
            f"oauth_token_url {url} cannot be reached: {type(error).__name__}"
        ) from error
    said = _json(answer)
    if token := said.get("access_token"):
        return str(token)
    line = f"oauth_token_url {url} answered {answer.status_code}"
    busy = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
    if busy or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TokenServerError(line)
    why = said.get("error_description") or said.get("error") or "no token in the answer"
    raise MailServerError(f"{line}: {' '.join(str(why).split())[:300]}")


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except requests.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
