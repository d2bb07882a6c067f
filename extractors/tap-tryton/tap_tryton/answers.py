"""What an answer of Tryton means for the sync: go on, try again, or stop and say why."""

from __future__ import annotations

import html
import re
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_tryton.values import loads

WRONG_ADDRESS = (
    "are url and database right? The tap needs the REST API of Tryton 8.0 or newer, "
    "at for example https://erp.example.com"
)


def check(response: requests.Response) -> None:
    """Let a JSON answer through and raise one clear line for anything else.

    Args:
        response: Any answer of a Tryton server, or of a proxy before it.

    Raises:
        RetriableAPIError: The server is busy or broken: 429 and 5xx.
        FatalAPIError: Everything that another try would not change.
    """
    status = response.status_code
    answer = (
        f"{response.request.method} {response.url.partition('?')[0]} "
        f"answered {status} {response.reason}"
    )
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and (name := _unknown_name(response)):
        raise FatalAPIError(
            f"{answer}: this Tryton knows no {name}. Activate the module that has it, or deselect "
            "what is read from it"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RetriableAPIError(answer, response)
    if response.is_redirect:
        target = urlsplit(response.headers["Location"])._replace(query="").geturl()
        raise FatalAPIError(f"{answer} and sends us to {target}: set url to the final address")
    if status == HTTPStatus.UNAUTHORIZED:
        raise FatalAPIError(
            f"{answer}: Tryton does not accept the setting key. It must belong to a validated user "
            "application REST API of an active user"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        raise FatalAPIError(f"{answer}: {WRONG_ADDRESS}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise FatalAPIError(f"{answer}: {_message(response) or 'no reason given'}")
    kind = response.headers.get("Content-Type", "no content type")
    if "json" not in kind:
        raise FatalAPIError(
            f"{answer} with {kind} instead of JSON, as a login page or a proxy does: "
            f"{WRONG_ADDRESS}"
        )


def _unknown_name(response: requests.Response) -> str | None:
    """Return the model or field that a server error is about, because Tryton has none such."""
    found = re.search(r"<p>'([\w.]+)'</p>", html.unescape(response.text))
    return found[1] if found else None


def _message(response: requests.Response) -> str:
    """Return Tryton's own sentences in one line."""
    try:
        body = loads(response.text)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    sentences = (body.get("message"), body.get("description"))
    return " ".join(" ".join(str(each).split()) for each in sentences if each)[:300]
