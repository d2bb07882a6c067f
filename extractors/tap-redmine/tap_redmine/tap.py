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

from tap_redmine.answers import WRONG_ADDRESS
from tap_redmine.client import RedmineStream
from tap_redmine.issues import IssuesStream, JournalsStream
from tap_redmine.lists import LISTS


class TapRedmine(Tap):
    """Reads issues, journals, time entries, projects and users from Redmine's REST API."""

    name = "tap-redmine"
    package_name = "tap-redmine"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "api_url",
            th.StringType,
            required=True,
            title="API URL",
            description="Address of Redmine's home page, for example https://redmine.example.com",
        ),
        th.Property(
            "api_key",
            th.StringType,
            required=True,
            secret=True,
            title="API key",
            description="API access key of a Redmine user, from the page 'My account'",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            title="Start date",
            description="The first sync reads the issues and journals of issues that changed since "
            "this time; all if not set",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=2, maximum=100),
            default=100,
            title="Page size",
            description="Rows per request",
        ),
    ).to_dict()

    _key_checked = False

    @cached_property
    def api_url(self) -> str:
        """The setting api_url without its trailing slash."""
        return str(self.config["api_url"]).rstrip("/")

    def check_key(self, stream: RedmineStream) -> None:
        """Check once per sync that Redmine accepts the key.

        For a list requested with a wrong key, Redmine returns no error but the public rows only,
        if there are any.
        """
        if not self._key_checked:
            stream.get_json("/users/current.json", {}, "user")
            self._key_checked = True

    def discover_streams(self) -> list[RedmineStream]:
        """Return the streams, without any request."""
        return [stream(self) for stream in (IssuesStream, JournalsStream, *LISTS)]

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
        key = self.config.get("api_key")
        if key:
            # The SDK's messages quote the value that they reject.
            errors = [error.replace(repr(key), "***") for error in errors]
        if isinstance(key, str) and not re.fullmatch(r"[!-~]+", key):
            errors.append("api_key must be the key alone, without spaces or line breaks")
        if not re.fullmatch(r"https?://[^@?#\s]+", str(self.config.get("api_url", ""))):
            errors.append("api_url must be like https://redmine.example.com, without user or query")
        try:
            datetime.fromisoformat(self.config.get("start_date") or "1970-01-01")
        except (TypeError, ValueError):
            errors.append("start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z")

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
