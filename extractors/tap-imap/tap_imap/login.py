"""Logging in, with a password or with a token of an OAuth server.

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
    """Log in, unless the server accepts no password over this connection."""
    username = config["username"]
    if config.get("oauth_token_url"):
        client.oauth2_login(username, _token(config))
    # LOGIN allows ASCII characters only.
    elif client.has_capability("AUTH=PLAIN"):
        client.plain_login(username, config["password"])
    elif client.has_capability("LOGINDISABLED"):
        raise MailServerError(
            f"{client.host}:{client.port} accepts no password over this connection: set "
            "encryption to tls or starttls; if it is set, the server may require OAuth"
        )
    else:
        client.login(username, config["password"])


def _token(config: Mapping[str, Any]) -> str:
    url = config["oauth_token_url"]
    request = {
        "grant_type": "client_credentials",
        "client_id": config["oauth_client_id"],
        "client_secret": config["oauth_client_secret"],
    }
    if refresh_token := config.get("oauth_refresh_token"):
        request |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
    if scope := config.get("oauth_scope"):
        request["scope"] = scope
    try:
        # A redirect would send the secrets to an address that nobody configured.
        response = requests.post(url, data=request, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise TokenServerError(
            f"oauth_token_url {url} cannot be reached: {type(error).__name__}"
        ) from error
    body = _json(response)
    if token := body.get("access_token"):
        return str(token)
    message = f"oauth_token_url {url} returned {response.status_code}"
    busy = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    if busy or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TokenServerError(message)
    reason = body.get("error_description") or body.get("error") or "no token in the response"
    raise MailServerError(f"{message}: {' '.join(str(reason).split())[:300]}")


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
