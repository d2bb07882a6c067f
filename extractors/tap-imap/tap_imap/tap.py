"""The tap: its settings and its streams."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError

from tap_imap import streams
from tap_imap.client import MailServer
from tap_imap.errors import MailServerError
from tap_imap.reading import MailStream

SECRET_SETTINGS = ("password", "oauth_client_secret", "oauth_refresh_token")
OAUTH_SETTINGS = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")


class TapImap(Tap):
    """Reads mailboxes, messages, flags and attachments over IMAP."""

    name = "tap-imap"
    package_name = "tap-imap"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "host",
            th.StringType,
            required=True,
            title="Host",
            description="Host name of the mail server, for example imap.example.com",
        ),
        th.Property(
            "port",
            th.IntegerType(minimum=1, maximum=65535),
            title="Port",
            description="Default: 993 with encryption tls, otherwise 143",
        ),
        th.Property(
            "encryption",
            th.StringType,
            default="tls",
            allowed_values=["tls", "starttls", "none"],
            title="Encryption",
            description="tls from the start, starttls after a greeting in plaintext, or none",
        ),
        th.Property(
            "username",
            th.StringType,
            required=True,
            title="Username",
            description="Account on the mail server, often its mail address",
        ),
        th.Property(
            "password",
            th.StringType,
            secret=True,
            title="Password",
            description="Password of the account, or an app password",
        ),
        th.Property(
            "oauth_token_url",
            th.StringType,
            title="OAuth token URL",
            description="Token endpoint of the OAuth server, instead of a password",
        ),
        th.Property(
            "oauth_client_id",
            th.StringType,
            title="OAuth client ID",
            description="ID of the application that may read the mail",
        ),
        th.Property(
            "oauth_client_secret",
            th.StringType,
            secret=True,
            title="OAuth client secret",
            description="Secret of that application",
        ),
        th.Property(
            "oauth_refresh_token",
            th.StringType,
            secret=True,
            title="OAuth refresh token",
            description="Refresh token of a user; without it, the application logs in as itself",
        ),
        th.Property(
            "oauth_scope",
            th.StringType,
            title="OAuth scope",
            description="For example https://outlook.office365.com/.default for Microsoft 365",
        ),
        th.Property(
            "mailboxes",
            th.ArrayType(th.StringType),
            default=["INBOX"],
            title="Mailboxes",
            description="Names or patterns such as Archive/*; !Trash excludes; the last match wins",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            title="Start date",
            description="Skip messages received before this time; all are read if not set",
        ),
        th.Property(
            "max_part_size",
            th.IntegerType(minimum=1),
            default=25 * 1024 * 1024,
            title="Maximum part size",
            description="Largest size in bytes, as sent, of a text or attachment that is read",
        ),
    ).to_dict()

    @cached_property
    def server(self) -> MailServer:
        """The mail server, with one connection for all streams."""
        return MailServer(self.config)

    @cached_property
    def since(self) -> datetime | None:
        """The setting start_date in UTC; a value without a time zone is taken as UTC."""
        if not (text := self.config.get("start_date")):
            return None
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    def discover_streams(self) -> list[MailStream]:
        """Return the five streams, without a connection."""
        return [
            streams.MailboxesStream(self),
            streams.MessagesStream(self),
            streams.FlagsStream(self),
            streams.AttachmentsStream(self),
            streams.AttachmentRowsStream(self),
        ]

    # The SDK marks these methods as final, but has no other place to log out.
    def sync_all(self) -> None:  # type: ignore[misc]
        """Read all selected streams and log out."""
        try:
            super().sync_all()
        finally:
            self.server.close()

    def run_sync_dry_run(self, *args: Any, **kwargs: Any) -> bool:  # type: ignore[misc]
        """Read a few records of each stream, as `--test` does, and log out."""
        try:
            return super().run_sync_dry_run(*args, **kwargs)
        finally:
            self.server.close()

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run the tap; log an error that stops it as one line, not as a traceback."""
        try:
            super().invoke(**kwargs)
        except MailServerError as error:
            cls.logger.critical("%s", error)
            sys.exit(1)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=False)
        # The SDK's messages quote the value that they reject.
        for secret in SECRET_SETTINGS:
            if value := self.config.get(secret):
                errors = [error.replace(repr(value), "***") for error in errors]
        given = {name for name in ("password", *OAUTH_SETTINGS) if self.config.get(name)}
        if given not in ({"password"}, {*OAUTH_SETTINGS}):
            errors.append(f"set either password, or {', '.join(OAUTH_SETTINGS)}")
        try:
            datetime.fromisoformat(self.config.get("start_date") or "1970-01-01")
        except (TypeError, ValueError):
            errors.append("start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z")
        if errors and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=errors, schema=self.config_jsonschema
            )
        return errors
