"""What an answer of Redmine means for the sync: go on, try again, or stop and say why.

Redmine docs: https://www.redmine.org/projects/redmine/wiki/Rest_api
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

WRONG_ADDRESS = (
    "is api_url right? It is the address of Redmine's home page, for example "
    "https://redmine.example.com"
)


class UnavailableError(FatalAPIError):
    """What was asked for is not there, or not for the user of the key to see."""


def check(response: requests.Response) -> None:
    """Let a JSON answer through and raise one clear line for anything else.

    Args:
        response: Any answer of Redmine, or of a proxy before it.

    Raises:
        RetriableAPIError: The server is busy or broken: 429 and 5xx.
        UnavailableError: 403 and 404.
        FatalAPIError: Everything else that another try would not change.
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
            f"{answer} and sends us to {target}: set api_url to Redmine's final address, "
            "past any login page"
        )
    if status == HTTPStatus.UNAUTHORIZED:
        raise FatalAPIError(
            f"{answer}: Redmine does not accept the setting api_key; copy it from 'My account', "
            "and see that 'Enable REST web service' is on in Administration, Settings, API"
        )
    if status == HTTPStatus.FORBIDDEN:
        raise UnavailableError(
            f"{answer}: the user of the api_key may not read it; give the user the right "
            "(users needs an administrator) or deselect the stream"
        )
    if status == HTTPStatus.NOT_FOUND:
        raise UnavailableError(f"{answer}: {WRONG_ADDRESS}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise FatalAPIError(f"{answer}: {_detail(response) or 'no reason given'}")
    if "json" not in kind:
        raise FatalAPIError(
            f"{answer} with {kind or 'no content type'} instead of JSON, as a login page or a "
            f"proxy does: {WRONG_ADDRESS}"
        )


def _detail(response: requests.Response) -> str:
    """Return Redmine's own sentences."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    errors = body.get("errors") if isinstance(body, dict) else None
    return " ".join(" ".join(map(str, errors)).split())[:300] if isinstance(errors, list) else ""
