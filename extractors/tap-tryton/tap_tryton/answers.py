"""Decide what a response of Tryton means: continue, retry, or stop with a reason."""

from __future__ import annotations

import html
import re
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_tryton.values import loads

WRONG_ADDRESS = (
    "are url and database correct? The tap requires the REST API of Tryton 8.0 or newer, "
    "for example at https://erp.example.com"
)


def check(response: requests.Response) -> None:
    """Accept a JSON response; raise an error of one line for any other.

    Args:
        response: Any response of a Tryton server, or of a proxy in front of it.

    Raises:
        RetriableAPIError: The server is busy or failing: 429 and 5xx.
        FatalAPIError: Any other error; a retry would not help.
    """
    status = response.status_code
    answer = (
        f"{response.request.method} {response.url.partition('?')[0]} "
        f"returned {status} {response.reason}"
    )
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and (name := _unknown_name(response)):
        raise FatalAPIError(
            f"{answer}: this Tryton does not have {name}. Activate the module that provides it, "
            "or deselect the stream or column that is read from it"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RetriableAPIError(answer, response)
    if response.is_redirect:
        target = urlsplit(response.headers["Location"])._replace(query="").geturl()
        raise FatalAPIError(f"{answer} and redirects to {target}: set url to the final address")
    if status == HTTPStatus.UNAUTHORIZED:
        raise FatalAPIError(
            f"{answer}: Tryton rejects the key. It must be the key of a validated user "
            "application REST API of an active user"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        raise FatalAPIError(f"{answer}: {WRONG_ADDRESS}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise FatalAPIError(f"{answer}: {_message(response) or 'no reason given'}")
    content_type = response.headers.get("Content-Type", "no content type")
    if "json" not in content_type:
        raise FatalAPIError(
            f"{answer} with {content_type} instead of JSON, as a login page or a proxy does: "
            f"{WRONG_ADDRESS}"
        )


def _unknown_name(response: requests.Response) -> str | None:
    """Return the name of the unknown model or field if it is the cause of a server error."""
    found = re.search(r"<p>'([\w.]+)'</p>", html.unescape(response.text))
    return found[1] if found else None


def _message(response: requests.Response) -> str:
    """Return Tryton's own error message in one line."""
    try:
        body = loads(response.text)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    sentences = (body.get("message"), body.get("description"))
    return " ".join(" ".join(str(each).split()) for each in sentences if each)[:300]
