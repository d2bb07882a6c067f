"""Decide what a response of Redmine means: continue, retry, or stop with a reason.

Redmine docs: https://www.redmine.org/projects/redmine/wiki/Rest_api
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

WRONG_ADDRESS = (
    "is api_url correct? It must be the address of Redmine's home page, for example "
    "https://redmine.example.com"
)


class UnavailableError(FatalAPIError):
    """The requested object does not exist, or the key's user may not read it."""


def check(response: requests.Response) -> None:
    """Accept a JSON response; raise an error of one line for any other.

    Args:
        response: Any response of Redmine, or of a proxy in front of it.

    Raises:
        RetriableAPIError: The server is busy or failing: 429 and 5xx.
        UnavailableError: 403 and 404.
        FatalAPIError: Any other error; a retry would not help.
    """
    status = response.status_code
    request = f"{response.request.method} {response.url.partition('?')[0]}"
    answer = f"{request} returned {status} {response.reason}"
    content_type = response.headers.get("Content-Type", "")

    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RetriableAPIError(answer, response)
    if response.is_redirect:
        target = urlsplit(response.headers["Location"])._replace(query="").geturl()
        raise FatalAPIError(
            f"{answer} and redirects to {target}: set api_url to Redmine's own address, "
            "which neither redirects nor shows a login page first"
        )
    if status == HTTPStatus.UNAUTHORIZED:
        raise FatalAPIError(
            f"{answer}: Redmine rejects api_key; copy the key from 'My account', and make sure "
            "that 'Enable REST web service' is on in Administration, Settings, API"
        )
    if status == HTTPStatus.FORBIDDEN:
        raise UnavailableError(
            f"{answer}: the user of api_key may not read it; give the user permission (the "
            "stream users requires an administrator) or deselect the stream"
        )
    if status == HTTPStatus.NOT_FOUND:
        raise UnavailableError(f"{answer}: {WRONG_ADDRESS}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise FatalAPIError(f"{answer}: {_detail(response) or 'no reason given'}")
    if "json" not in content_type:
        raise FatalAPIError(
            f"{answer} with {content_type or 'no content type'} instead of JSON, as a login page "
            f"or a proxy does: {WRONG_ADDRESS}"
        )


def _detail(response: requests.Response) -> str:
    """Return Redmine's own error messages."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    errors = body.get("errors") if isinstance(body, dict) else None
    return " ".join(" ".join(map(str, errors)).split())[:300] if isinstance(errors, list) else ""
