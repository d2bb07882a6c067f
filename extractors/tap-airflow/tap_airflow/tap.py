"""The tap: its settings and its streams."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from functools import cached_property
from typing import Any

import requests
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError, FatalAPIError, RetriableAPIError

from tap_airflow import streams
from tap_airflow.answers import WRONG_ADDRESS
from tap_airflow.auth import TokenAuthenticator
from tap_airflow.client import AirflowStream
from tap_airflow.failures import TaskFailuresStream

SECRET_SETTINGS = ("password", "token")


class TapAirflow(Tap):
    """Reads DAGs, their runs and tasks, asset events, pools and import errors from Airflow."""

    name = "tap-airflow"
    package_name = "tap-airflow"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "api_url",
            th.StringType,
            required=True,
            title="API URL",
            description="Address of Airflow's web interface and API, such as http://127.0.0.1:8080",
        ),
        th.Property(
            "username",
            th.StringType,
            title="Username",
            description="Airflow user who may read the runs; the Viewer role is enough",
        ),
        th.Property(
            "password",
            th.StringType,
            secret=True,
            title="Password",
            description="Password of that user",
        ),
        th.Property(
            "token",
            th.StringType,
            secret=True,
            title="Token",
            description="An existing JWT, instead of username and password",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            title="Start date",
            description="The first sync reads what changed since this time; all rows if not set",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=2),
            default=100,
            title="Page size",
            description="Rows per request; Airflow's [api] maximum_page_limit is the upper limit",
        ),
    ).to_dict()

    @cached_property
    def api_url(self) -> str:
        """The setting api_url without its trailing slash."""
        return str(self.config["api_url"]).rstrip("/")

    @cached_property
    def authenticator(self) -> TokenAuthenticator:
        """The authenticator that all streams share, so that a sync logs in once."""
        return TokenAuthenticator(
            self.api_url,
            username=self.config.get("username"),
            password=self.config.get("password"),
            token=self.config.get("token"),
        )

    def discover_streams(self) -> list[AirflowStream]:
        """Return the streams, without any request."""
        return [
            streams.DagsStream(self),
            streams.DagRunsStream(self),
            streams.TaskInstancesStream(self),
            TaskFailuresStream(self),
            streams.AssetEventsStream(self),
            streams.PoolsStream(self),
            streams.ImportErrorsStream(self),
        ]

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run the tap; log an error that stops it as one line, not as a traceback."""
        try:
            super().invoke(**kwargs)
        except (FatalAPIError, RetriableAPIError) as error:
            cls.logger.critical("%s", error)
            sys.exit(1)
        except requests.RequestException as error:
            url = getattr(error.request, "url", "api_url").partition("?")[0]
            cls.logger.critical("cannot read %s: %s; %s", url, _cause(error), WRONG_ADDRESS)
            sys.exit(1)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=False)
        # The SDK's messages quote the value that they reject.
        for secret in SECRET_SETTINGS:
            if value := self.config.get(secret):
                errors = [error.replace(repr(value), "***") for error in errors]

        if not re.fullmatch(r"https?://[^@?#\s]+", str(self.config.get("api_url", ""))):
            errors.append("api_url must be like https://airflow.example.com, without user or query")
        try:
            datetime.fromisoformat(self.config.get("start_date") or "1970-01-01")
        except (TypeError, ValueError):
            errors.append("start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z")
        given = {name for name in ("username", *SECRET_SETTINGS) if self.config.get(name)}
        if given not in ({"username", "password"}, {"token"}):
            errors.append("set either username and password, or token")

        if errors and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=errors, schema=self.config_jsonschema
            )
        return errors


def _cause(error: BaseException) -> str:
    """Return the text of the innermost cause, such as "Connection refused"."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error) or type(error).__name__
