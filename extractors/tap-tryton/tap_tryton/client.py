"""How Tryton's REST API is read: what is asked for, paging, and what is new since the last time.

Tryton docs: https://docs.tryton.org/latest/server/
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.exceptions import FatalAPIError
from singer_sdk.pagination import BaseAPIPaginator

from tap_tryton.answers import WRONG_ADDRESS, check
from tap_tryton.values import ABSENT, encode, loads, value_at

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context

    from tap_tryton.tap import TapTryton

OVERLAP = timedelta(hours=1)
"""How far before the bookmark a sync starts.

Tryton stamps a row with the time at which its transaction began, and shows it when the transaction
ends; wizards and imports run for minutes. Rows read twice are upserted.
"""

LONGEST_WAIT = 300
"""Seconds that Retry-After may ask for: a sync should fail rather than hang."""


@dataclass(frozen=True)
class Column:
    """A column, and the field of Tryton that it comes from.

    Args:
        name: Name of the column.
        field: Tryton's field, with a dot where it is that of a linked record.
        kind: Its type in the schema.
        description: What it means.
    """

    name: str
    field: str
    kind: type[th.JSONTypeHelper[Any]]
    description: str


def schema_of(columns: Iterable[Column]) -> dict[str, Any]:
    """Return the JSON schema of a stream: its own columns, and those that every stream has."""
    return th.PropertiesList(
        th.Property(
            "id",
            th.IntegerType,
            required=True,
            nullable=False,
            description="Tryton's id of the record, unique within its model",
        ),
        *(th.Property(each.name, each.kind, description=each.description) for each in columns),
        th.Property("created_at", th.DateTimeType, description="When the record was made, in UTC"),
        th.Property(
            "changed_at",
            th.DateTimeType,
            description="When it was last written, or made if never written since, in UTC",
        ),
    ).to_dict()


class TrytonStream(RESTStream):
    """The records of one of Tryton's models that changed since the last sync.

    Paging goes by `id`, because a record keeps its place whatever happens to it and to others
    while they are read. `changed_at` is therefore not sorted, and the bookmark is written when
    the last page has been read. It never passes the moment at which the sync began, or a record
    that was written after its page would be lost to the next sync.
    """

    primary_keys = ("id",)
    replication_key = "changed_at"
    is_sorted = False
    allow_redirects = False

    model: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    stamped: ClassVar[tuple[str, ...]] = ("",)
    """Before the fields create_date and write_date: the record, and links it is read with."""

    def __init__(self, tap: TapTryton) -> None:
        super().__init__(tap, path=f"/{self.model}")
        self.next_id: int | None = None

    @property
    def url_base(self) -> str:
        """The address of the REST API."""
        return cast("TapTryton", self._tap).api_url

    @cached_property
    def authenticator(self) -> BearerTokenAuthenticator:
        """The key of the user application."""
        return BearerTokenAuthenticator(token=self.config["key"])

    @cached_property
    def http_headers(self) -> dict[str, str]:
        """Ask for records that are not active too: they are history, not garbage."""
        context = encode({"active_test": False})
        return {"User-Agent": self.user_agent, "X-Tryton-Context": context}

    @cached_property
    def _wanted(self) -> list[tuple[str, tuple[str, ...], type]]:
        """Of the selected columns: the name, the path of the value, and the type."""
        return [
            (each.name, tuple(each.field.split(".")), each.kind)
            for each in self.columns
            if self.mask.get(("properties", each.name), True)
        ]

    @cached_property
    def _stamps(self) -> list[tuple[str, ...]]:
        """The paths of the dates that say when a row changed."""
        names = ("create_date", "write_date")
        return [tuple(f"{link}{name}".split(".")) for link in self.stamped for name in names]

    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        """Ask for the selected fields of what changed since the bookmark, less the overlap."""
        domain: list[Any] = []
        if next_page_token:
            domain.append(["id", ">", next_page_token])
        if since := self.get_starting_timestamp(context):
            stamps = [[".".join(path), ">=", since - OVERLAP] for path in self._stamps]
            domain.append(["OR", *stamps])
        paths = {path for _, path, _ in self._wanted} | set(self._stamps)
        return {
            "f": sorted(".".join(path) for path in paths),
            "d": encode(domain),
            "o": encode([["id", "ASC"]]),
            "s": self.config["page_size"],
        }

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Read on after the last id of a page."""
        return IdPaginator(self)

    def validate_response(self, response: requests.Response) -> None:
        """Raise one clear line for an answer that is not a page of rows."""
        check(response)

    def backoff_wait_generator(self) -> Generator[float, Any, None]:
        """Wait as long as Retry-After asks, or else 2, 4, 8, 16 seconds."""
        growing = backoff.expo(factor=2)
        growing.send(None)
        error = yield 0
        while True:
            wait = next(growing)
            response = getattr(error, "response", None)
            asked = "" if response is None else response.headers.get("Retry-After", "")
            error = yield min(int(asked), LONGEST_WAIT) if asked.isdigit() else wait

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Wait for the server to tell the time: the clock here may be another."""

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the model from its first page on."""
        self.next_id = None
        yield from super().get_records(context)

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """Yield the records of a page; the first tells when the sync began."""
        try:
            rows = loads(response.text)
        except ValueError:
            rows = None
        if not isinstance(rows, list):
            raise FatalAPIError(f"{self.path} answered without records: {WRONG_ADDRESS}")
        if self.next_id is None:
            self.state_manager.write_replication_key_signpost(_sent_at(response), context=None)
        self.next_id = rows[-1]["id"] if len(rows) >= self.config["page_size"] else 0
        return rows

    def post_process(
        self,
        row: dict[str, Any],
        context: Context | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Make a flat row of a record."""
        stamps = [self._value(row, path) for path in self._stamps]
        flat = {
            "id": row["id"],
            "created_at": stamps[0],
            "changed_at": max(filter(None, stamps), default=None),
        }
        for name, path, kind in self._wanted:
            value = self._value(row, path)
            # On SQLite, Tryton's true and false are numbers.
            flat[name] = bool(value) if kind is th.BooleanType and value is not None else value
        return flat

    def _value(self, row: dict[str, Any], path: tuple[str, ...]) -> Any:
        value = value_at(row, path)
        if value is ABSENT:
            raise FatalAPIError(
                f"{self.model} comes without {'.'.join(path)}, which the user of the key may not "
                f"read: give the right to, or deselect what {self.name} has from it"
            )
        return value


class IdPaginator(BaseAPIPaginator[int | None]):
    """Paging by the last id of the page before.

    Args:
        stream: Knows that id when it has read the page.
    """

    def __init__(self, stream: TrytonStream) -> None:
        super().__init__(None)
        self._stream = stream

    def get_next(self, response: requests.Response) -> int | None:  # noqa: ARG002
        """Return the id to read on after; 0 at the end."""
        return self._stream.next_id


def _sent_at(response: requests.Response) -> datetime:
    """Return when the request was sent, on the clock of the server if it tells the time."""
    date = response.headers.get("Date")
    answered = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return answered - response.elapsed
