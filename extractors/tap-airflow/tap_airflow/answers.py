"""What an answer of Airflow means for the sync: go on, try again, or stop and say why."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

WRONG_ADDRESS = (
    "is api_url right? It is the address of Airflow's web page, without /api/v2, "
    "for example http://127.0.0.1:8080"
)


INVALID_TOKEN = "Invalid JWT token"  # noqa: S105 - a message
"""Airflow's 403 for a token that another key has signed, as after a restart without a set key."""


class TokenRefusedError(FatalAPIError):
    """Airflow does not accept a token (or a username and password)."""


class NotFoundError(FatalAPIError):
    """There is nothing at an address, or nothing yet."""


def check(response: requests.Response) -> None:
    """Let a JSON answer through and raise one clear line for anything else.

    Args:
        response: Any answer of the API server, or of a proxy before it.

    Raises:
        RetriableAPIError: The server is busy or broken: 429 and 5xx.
        NotFoundError: 404 and 405.
        TokenRefusedError: 401, and the 403 that is about the token and not about rights.
        FatalAPIError: Everything that another try would not change.
    """
    status = response.status_code
    where = f"{response.request.method} {response.url.partition('?')[0]}"
    answer = f"{where} answered {status} {response.reason}"
    kind = response.headers.get("Content-Type", "")

    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RetriableAPIError(answer, response)
    if response.is_redirect:
        target = urlsplit(response.headers["Location"])._replace(query="").geturl()
        raise FatalAPIError(
            f"{answer} and sends us to {target}: set api_url to Airflow's final address, "
            "past any login page"
        )
    detail = _detail(response) if status >= HTTPStatus.BAD_REQUEST else ""
    if status == HTTPStatus.UNAUTHORIZED or detail == INVALID_TOKEN:
        raise TokenRefusedError(f"{answer}: Airflow does not accept the token")
    if status == HTTPStatus.FORBIDDEN:
        raise FatalAPIError(
            f"{answer}: give the Airflow user the right to read DAGs, runs, task instances and "
            "their logs, assets, pools and import errors (the Viewer role has it)"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        raise NotFoundError(f"{answer}: {WRONG_ADDRESS}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise FatalAPIError(f"{answer}: {detail or 'no reason given'}")
    if "json" not in kind:
        raise FatalAPIError(
            f"{answer} with {kind or 'no content type'} instead of JSON, as a login page or a "
            f"proxy does: {WRONG_ADDRESS}"
        )


def _detail(response: requests.Response) -> str:
    """Return Airflow's own sentence; a list is a validation error that repeats the input."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    return " ".join(detail.split())[:300] if isinstance(detail, str) else ""
