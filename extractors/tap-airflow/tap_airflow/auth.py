"""The bearer token that Airflow's REST API requires.

Airflow docs: https://airflow.apache.org/docs/apache-airflow/stable/security/api.html
"""

from __future__ import annotations

import math
import time

import jwt
import requests
from singer_sdk.authenticators import APIAuthenticatorBase
from singer_sdk.exceptions import FatalAPIError

from tap_airflow.answers import TokenRejectedError, check

RENEW_BEFORE_EXPIRY = 60
"""Seconds. A token must stay valid until its request has ended."""

TIMEOUT = 60
"""Seconds to wait for a token."""


class TokenAuthenticator(APIAuthenticatorBase):
    """Adds a JWT to requests: the given one, or one obtained for a username and password.

    Args:
        api_url: Address of the API server, without a trailing slash.
        username: The Airflow user, unless a token is given.
        password: That user's password.
        token: An existing JWT, used unchanged.
    """

    def __init__(
        self,
        api_url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__()
        self._url = f"{api_url}/auth/token"
        self._credentials = {"username": username, "password": password}
        self._is_fixed = bool(token)
        self._token = token or None
        self._expires = math.inf

    def authenticate_request(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request; get a new token first if it is about to expire."""
        if self._token is None or time.time() > self._expires - RENEW_BEFORE_EXPIRY:
            self._log_in()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def forget_token(self) -> None:
        """Drop a token that Airflow rejected, so that the next request gets a new one.

        Raises:
            FatalAPIError: The token is set in the settings, so it cannot be renewed.
        """
        if self._is_fixed:
            raise FatalAPIError(
                "Airflow rejects the token in the setting `token`: it has expired or belongs to "
                "another Airflow; set a new one, or set username and password instead"
            )
        self._token = None

    def _log_in(self) -> None:
        # A redirect would send the password to an address that nobody configured.
        response = requests.post(
            self._url, json=self._credentials, timeout=TIMEOUT, allow_redirects=False
        )
        try:
            check(response)
        except TokenRejectedError:
            raise FatalAPIError(
                f"{self._url} rejects the username and password; check both settings"
            ) from None
        self._token = response.json()["access_token"]
        claims = jwt.decode(self._token, options={"verify_signature": False})
        self._expires = claims.get("exp", math.inf)
