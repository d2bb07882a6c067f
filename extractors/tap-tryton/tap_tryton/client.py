"""Reading Tryton's REST API: requests, paging, and what changed since the last sync.

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

Tryton sets a row's time to the beginning of its transaction, but shows the row only when the
transaction ends. Wizards and imports run for minutes. Rows read twice are upserted.
"""

MAX_RETRY_AFTER = 300
"""Longest wait in seconds that a Retry-After header is granted: a sync should fail, not hang."""


@dataclass(frozen=True)
class Column:
    """A column and its field in Tryton.

    Args:
        name: The name of the column.
        field: The field in Tryton, with dots for a field of a linked record.
        kind: Its type in the schema.
        description: Its description in the schema.
    """

    name: str
    field: str
    kind: type[th.JSONTypeHelper[Any]]
    description: str


def schema_of(columns: Iterable[Column]) -> dict[str, Any]:
    """Return the JSON Schema of a stream: its own columns, and the columns of all streams."""
    return th.PropertiesList(
        th.Property(
            "id",
            th.IntegerType,
            required=True,
            nullable=False,
            description="Tryton's ID of the record, unique within its model",
        ),
        *(th.Property(each.name, each.kind, description=each.description) for each in columns),
        th.Property("created_at", th.DateTimeType, description="When it was created, in UTC"),
        th.Property(
            "changed_at",
            th.DateTimeType,
            description="When it was last changed, or created if it never changed, in UTC",
        ),
    ).to_dict()


class TrytonStream(RESTStream):
    """The records of one of Tryton's models that changed since the last sync.

    Pages are ordered by `id`, because records then keep their places during the sync, whatever
    changes. `changed_at` is therefore not sorted, and the bookmark is written after the last
    page. The bookmark is never later than the beginning of the sync. Otherwise the next sync
    would miss a record that was changed after its page was read.
    """

    primary_keys = ("id",)
    replication_key = "changed_at"
    is_sorted = False
    allow_redirects = False

    model: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    stamped: ClassVar[tuple[str, ...]] = ("",)
    """Prefixes of the fields create_date and write_date: of the record, and of linked records."""

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
        """The headers that include inactive records, which are part of the history."""
        context = encode({"active_test": False})
        return {"User-Agent": self.user_agent, "X-Tryton-Context": context}

    @cached_property
    def _selected_columns(self) -> list[tuple[str, tuple[str, ...], type]]:
        """The name, the path of the value, and the type of each selected column."""
        return [
            (each.name, tuple(each.field.split(".")), each.kind)
            for each in self.columns
            if self.mask.get(("properties", each.name), True)
        ]

    @cached_property
    def _stamps(self) -> list[tuple[str, ...]]:
        """The paths of the times at which a row was created or changed."""
        names = ("create_date", "write_date")
        return [tuple(f"{link}{name}".split(".")) for link in self.stamped for name in names]

    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        """Return the parameters for the selected fields of records changed since the bookmark."""
        domain: list[Any] = []
        if next_page_token:
            domain.append(["id", ">", next_page_token])
        if since := self.get_starting_timestamp(context):
            stamps = [[".".join(path), ">=", since - OVERLAP] for path in self._stamps]
            domain.append(["OR", *stamps])
        paths = {path for _, path, _ in self._selected_columns} | set(self._stamps)
        return {
            "f": sorted(".".join(path) for path in paths),
            "d": encode(domain),
            "o": encode([["id", "ASC"]]),
            "s": self.config["page_size"],
        }

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Return a paginator that continues after the last ID of a page."""
        return IdPaginator(self)

    def validate_response(self, response: requests.Response) -> None:
        """Raise an error of one line for a response that is not a page of rows."""
        check(response)

    def backoff_wait_generator(self) -> Generator[float, Any, None]:
        """Yield how long to wait: what Retry-After says, or 2, 4, 8, 16 seconds."""
        default_waits = backoff.expo(factor=2)
        default_waits.send(None)
        error = yield 0
        while True:
            wait = next(default_waits)
            response = getattr(error, "response", None)
            retry_after = "" if response is None else response.headers.get("Retry-After", "")
            error = yield min(int(retry_after), MAX_RETRY_AFTER) if retry_after.isdigit() else wait

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Do nothing: the signpost is set from the server's time, which may differ from ours."""

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the model from its first page."""
        self.next_id = None
        yield from super().get_records(context)

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """Return the records of a page; the first page's time is the beginning of the sync."""
        try:
            rows = loads(response.text)
        except ValueError:
            rows = None
        if not isinstance(rows, list):
            raise FatalAPIError(f"the response of {self.path} has no records: {WRONG_ADDRESS}")
        if self.next_id is None:
            self.state_manager.write_replication_key_signpost(_sent_at(response), context=None)
        self.next_id = rows[-1]["id"] if len(rows) >= self.config["page_size"] else 0
        return rows

    def post_process(
        self,
        row: dict[str, Any],
        context: Context | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return a record as a flat row."""
        stamps = [self._value(row, path) for path in self._stamps]
        flat = {
            "id": row["id"],
            "created_at": stamps[0],
            "changed_at": max(filter(None, stamps), default=None),
        }
        for name, path, kind in self._selected_columns:
            value = self._value(row, path)
            # With SQLite, Tryton returns booleans as numbers.
            flat[name] = bool(value) if kind is th.BooleanType and value is not None else value
        return flat

    def _value(self, row: dict[str, Any], path: tuple[str, ...]) -> Any:
        value = value_at(row, path)
        if value is ABSENT:
            raise FatalAPIError(
                f"{self.model} is returned without {'.'.join(path)}, which the key's user may not "
                f"read: give the user permission, or deselect the column of {self.name} that is "
                "read from it"
            )
        return value


class IdPaginator(BaseAPIPaginator[int | None]):
    """Paging by the last ID of the previous page.

    Args:
        stream: The stream, which has the last ID after it has read the page.
    """

    def __init__(self, stream: TrytonStream) -> None:
        super().__init__(None)
        self._stream = stream

    def get_next(self, response: requests.Response) -> int | None:  # noqa: ARG002
        """Return the ID after which the next page begins; 0 at the end."""
        return self._stream.next_id


def _sent_at(response: requests.Response) -> datetime:
    """Return when the request was sent, on the server's clock if the response has its time."""
    date = response.headers.get("Date")
    answered = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return answered - response.elapsed
