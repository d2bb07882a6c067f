"""The tap: its settings and its streams."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError

from tap_sftp import host_keys
from tap_sftp.client import SftpServer, private_key
from tap_sftp.entries import Entry, problems
from tap_sftp.errors import TapSftpError
from tap_sftp.reading import header
from tap_sftp.settings import SECRET_SETTINGS, SETTINGS
from tap_sftp.streams import FilesStream, parse_time


class TapSftp(Tap):
    """Reads fixed-width text, CSV, XLSX and XML from files on an SFTP server."""

    name = "tap-sftp"
    package_name = "tap-sftp"
    config_jsonschema = SETTINGS
    # Makes the SDK validate the settings before a discovery too, which logs in.
    dynamic_catalog = True

    @cached_property
    def server(self) -> SftpServer:
        """The server that all streams share."""
        return SftpServer(self.config)

    def discover_streams(self) -> list[FilesStream]:
        """Return a stream for each entry of `files`, after reading the files' headers if any."""
        try:
            entries = [Entry.from_config(each) for each in self.config["files"]]
            return [FilesStream(self, entry, self._header(entry)) for entry in entries]
        finally:
            self.server.close()

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Sync."""
        with cls._errors_in_one_line():
            super().invoke(**kwargs)

    @classmethod
    def cb_discover(cls, *args: Any) -> None:
        """Discover."""
        with cls._errors_in_one_line():
            super().cb_discover(*args)

    @classmethod
    def cb_test(cls, *args: Any) -> None:
        """Test."""
        with cls._errors_in_one_line():
            super().cb_test(*args)

    @classmethod
    @contextlib.contextmanager
    def _errors_in_one_line(cls) -> Iterator[None]:
        """Log an error that stops the tap as one line, not as a traceback."""
        try:
            yield
        except TapSftpError as error:
            cls.logger.critical("%s", error)
            sys.exit(1)

    def _header(self, entry: Entry) -> list[str]:
        """Return the columns of the newest file, if its format names them.

        A file that was just changed may be incomplete, so it is used only if there is no other.
        """
        if not entry.has_header:
            return []
        found = self.server.find(entry.path)
        settled = [each for each in found if each.age() >= self.config["settle_seconds"]]
        for newest in (settled or found)[::-1]:
            read = partial(header, path=newest.path, entry=entry)
            with contextlib.suppress(FileNotFoundError):
                return self.server.peek(newest, read)
        return []

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=False)
        # The SDK's messages quote the value that they reject.
        for secret in SECRET_SETTINGS:
            if value := self.config.get(secret):
                errors = [error.replace(repr(value), "***") for error in errors]
        if not errors:
            errors = [*self._problems()]
        if errors and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=errors, schema=self.config_jsonschema
            )
        return errors

    def _problems(self) -> Iterator[str]:
        """Yield the problems of settings that conform to the schema."""
        if not (self.config.get("password") or self.config.get("private_key")):
            yield "set password or private_key"
        if not re.fullmatch(r"[^\s/@]+", self.config["host"]):
            yield "host must be a host name or an address only, such as sftp.example.com"
        try:
            parse_time(self.config.get("start_date") or "1970-01-01")
        except ValueError:
            yield "start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z"
        try:
            host_keys.parse(self.config.get("host_key") or "")
            private_key(self.config)
        except (TapSftpError, ValueError) as error:
            yield str(error)
        names = [entry["name"] for entry in self.config["files"]]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"files: several entries are named {name}; give each a different name"
        for entry in self.config["files"]:
            yield from (f"files: {entry['name']}: {problem}" for problem in problems(entry))
