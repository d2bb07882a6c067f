"""Decide what a response of Airflow means: continue, retry, or stop with a reason."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

WRONG_ADDRESS = (
    "is api_url correct? It must be the address of Airflow's web interface, without /api/v2, "
    "for example http://127.0.0.1:8080"
)

INVALID_TOKEN = "Invalid JWT token"  # noqa: S105 - a message
"""Airflow's 403 for a token signed with another key, for example before a restart without a fixed
signing key."""


class TokenRejectedError(FatalAPIError):
    """Airflow rejects a token, or a username and password."""


class NotFoundError(FatalAPIError):
    """An address does not exist, or does not exist yet."""


def check(response: requests.Response) -> None:
    """Accept a JSON response; raise an error of one line for any other.

    Args:
        response: Any response of the API server, or of a proxy in front of it.

    Raises:
        RetriableAPIError: The server is busy or failing: 429 and 5xx.
        NotFoundError: 404 and 405.
        TokenRejectedError: 401, and the 403 that is about the token and not about permissions.
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
            f"{answer} and redirects to {target}: set api_url to Airflow's own address, "
            "which neither redirects nor shows a login page first"
        )
    detail = _detail(response) if status >= HTTPStatus.BAD_REQUEST else ""
    if status == HTTPStatus.UNAUTHORIZED or detail == INVALID_TOKEN:
        raise TokenRejectedError(f"{answer}: Airflow rejects the credentials")
    if status == HTTPStatus.FORBIDDEN:
        raise FatalAPIError(
            f"{answer}: give the Airflow user permission to read DAGs, runs, task instances and "
            "their logs, assets, pools and import errors (the Viewer role has it)"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        raise NotFoundError(f"{answer}: {WRONG_ADDRESS}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise FatalAPIError(f"{answer}: {detail or 'no reason given'}")
    if "json" not in content_type:
        raise FatalAPIError(
            f"{answer} with {content_type or 'no content type'} instead of JSON, as a login page "
            f"or a proxy does: {WRONG_ADDRESS}"
        )


def _detail(response: requests.Response) -> str:
    """Return Airflow's own message. A list is a validation error that repeats the input."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    return " ".join(detail.split())[:300] if isinstance(detail, str) else ""
