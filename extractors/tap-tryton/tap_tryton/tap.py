"""The tap: its settings and its streams."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

import requests
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError, FatalAPIError, RetriableAPIError

from tap_tryton import streams
from tap_tryton.answers import WRONG_ADDRESS
from tap_tryton.client import TrytonStream


class TapTryton(Tap):
    """Reads parties, products, sales and invoices from Tryton's REST API."""

    name = "tap-tryton"
    package_name = "tap-tryton"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "url",
            th.StringType,
            required=True,
            title="URL",
            description="Address of the Tryton server, for example https://erp.example.com",
        ),
        th.Property(
            "database",
            th.StringType,
            required=True,
            title="Database",
            description="Name of the database, as in the login of Tryton's client",
        ),
        th.Property(
            "key",
            th.StringType,
            required=True,
            secret=True,
            title="Key",
            description="Key of a REST API user application; its user must be allowed to read the "
            "models",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            title="Start date",
            description="The first sync reads what changed since this time; all rows if not set",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1),
            default=500,
            title="Page size",
            description="Records per request",
        ),
    ).to_dict()

    @cached_property
    def api_url(self) -> str:
        """The address of the REST API's models."""
        database = quote(self.config["database"], safe="")
        return f"{self.config['url'].rstrip('/')}/{database}/rest/model"

    def discover_streams(self) -> list[TrytonStream]:
        """Return the streams, without any request."""
        return [
            streams.PartiesStream(self),
            streams.AddressesStream(self),
            streams.ProductsStream(self),
            streams.ListPricesStream(self),
            streams.SalesStream(self),
            streams.SaleLinesStream(self),
            streams.InvoicesStream(self),
            streams.InvoiceLinesStream(self),
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
            url = getattr(error.request, "url", "url").partition("?")[0]
            cls.logger.critical("cannot read %s: %s; %s", url, _cause(error), WRONG_ADDRESS)
            sys.exit(1)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=False)
        key = self.config.get("key")
        # The SDK's messages quote the value that they reject.
        errors = [error.replace(repr(key), "***") if key else error for error in errors]

        if not re.fullmatch(r"https?://[^@?#\s]+", str(self.config.get("url", ""))):
            errors.append("url must be like https://erp.example.com, without user or query")
        if isinstance(key, str) and not re.fullmatch(r"[!-~]+", key):
            errors.append("key must be the key alone, without spaces or line breaks")
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
