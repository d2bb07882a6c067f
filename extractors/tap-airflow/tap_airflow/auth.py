"""The bearer token that Airflow's REST API wants.

Airflow docs: https://airflow.apache.org/docs/apache-airflow/stable/security/api.html
"""

from __future__ import annotations

import math
import time

import jwt
import requests
from singer_sdk.authenticators import APIAuthenticatorBase
from singer_sdk.exceptions import FatalAPIError

from tap_airflow.answers import TokenRefusedError, check

RENEW_BEFORE_EXPIRY = 60
"""Seconds; a token must outlive the request that it is sent with."""

TIMEOUT = 60
"""Seconds to wait for a token."""


class TokenAuthenticator(APIAuthenticatorBase):
    """Signs requests with a JWT that was given, or got for a username and password.

    Args:
        api_url: Address of the API server, without a trailing slash.
        username: The Airflow user, when there is no ready token.
        password: That user's password.
        token: A ready JWT, used as it is.
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
        self._ready_made = bool(token)
        self._token = token or None
        self._expires = math.inf

    def authenticate_request(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token, and get a new one first if it is about to expire."""
        if self._token is None or time.time() > self._expires - RENEW_BEFORE_EXPIRY:
            self._log_in()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def forget_token(self) -> None:
        """Drop a token that Airflow refused, so that the next request brings a new one.

        Raises:
            FatalAPIError: The token came from the settings; there is no other.
        """
        if self._ready_made:
            raise FatalAPIError(
                "Airflow does not accept the setting token: it has expired or belongs to "
                "another Airflow. Make a new one, or set username and password instead"
            )
        self._token = None

    def _log_in(self) -> None:
        # A redirect would carry the password to an address nobody configured.
        response = requests.post(
            self._url, json=self._credentials, timeout=TIMEOUT, allow_redirects=False
        )
        try:
            check(response)
        except TokenRefusedError:
            raise FatalAPIError(
                f"{self._url} does not accept the settings username and password"
            ) from None
        self._token = response.json()["access_token"]
        claims = jwt.decode(self._token, options={"verify_signature": False})
        self._expires = claims.get("exp", math.inf)
