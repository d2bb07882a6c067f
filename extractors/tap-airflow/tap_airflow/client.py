"""How Airflow's REST API is read: errors, paging, and what is new since the last time.

Airflow docs: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk.exceptions import FatalAPIError
from singer_sdk.pagination import BaseAPIPaginator, JSONPathPaginator

from tap_airflow.answers import WRONG_ADDRESS, TokenRefusedError, check

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, RequestFunc

    from tap_airflow.auth import TokenAuthenticator
    from tap_airflow.tap import TapAirflow

OVERLAP = timedelta(minutes=5)
"""How far before the bookmark a sync starts.

Airflow stamps a row when it writes it and shows the row when the transaction ends; and its
scheduler, workers and API server may run on clocks that differ. Rows read twice are upserted.
"""

LONGEST_WAIT = 300
"""Seconds that Retry-After may ask for: a sync should fail rather than hang."""


class AirflowStream(RESTStream):
    """A list of Airflow's REST API."""

    allow_redirects = False
    rows: str | None = None
    """Name of the list in Airflow's answer, where it is not the stream's."""

    def __init__(self, tap: TapAirflow) -> None:
        super().__init__(tap)
        self._read_at: str | None = None

    @cached_property
    def _columns(self) -> list[str]:
        # The SDK leaves deselected columns out of RECORDs, but not out of batch files.
        return [name for name in self.schema["properties"] if self.mask["properties", name]]

    @property
    def url_base(self) -> str:
        """The address of the API."""
        return f"{cast('TapAirflow', self._tap).api_url}/api/v2"

    @property
    def authenticator(self) -> TokenAuthenticator:
        """The token, which all streams share."""
        return cast("TapAirflow", self._tap).authenticator

    def build_prepared_request(self, *args: Any, **kwargs: Any) -> requests.PreparedRequest:
        """Leave the token to the sending, where a failed login is tried again."""
        kwargs["headers"] = {"User-Agent": self.user_agent, **kwargs["headers"]}
        return self.requests_session.prepare_request(requests.Request(*args, **kwargs))

    def validate_response(self, response: requests.Response) -> None:
        """Raise one clear line for an answer that is not a page of rows."""
        check(response)

    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        """Add to the SDK's retries one more with a new token, when Airflow refuses the old."""

        def send(request: requests.PreparedRequest, context: Context | None) -> requests.Response:
            try:
                return func(request, context)
            except TokenRefusedError:
                self.authenticator.forget_token()
                return func(request, context)

        return super().request_decorator(send)

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

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the list from its first page on."""
        self._read_at = None
        yield from super().get_records(context)

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """Yield the rows of a page, and keep the server's time of the first."""
        if self._read_at is None:
            self._read_at = _sent_at(response).isoformat()
        yield from self.page(response)[self.rows or self.name]

    def page(self, response: requests.Response) -> dict[str, Any]:
        """Return the answer, if it is one of Airflow's."""
        page = response.json()
        rows = self.rows or self.name
        if not isinstance(page, dict) or rows not in page:
            raise FatalAPIError(f"{self.path} answered without {rows}: {WRONG_ADDRESS}")
        return page

    def post_process(
        self,
        row: dict[str, Any],
        context: Context | None = None,  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """Keep the declared and selected columns: Airflow's answers also hold rendered values."""
        return {**{name: row.get(name) for name in self._columns}, "read_at": self._read_at}


class ChangesStream(AirflowStream):
    """Rows that changed since the last sync, from the lists that Airflow pages by a cursor.

    Airflow filters these lists by `updated_at` but does not return it, so the replication key is
    the moment at which the sync began, `read_at`, on the server's clock. It is the same in every
    row of a sync and is written to the state only when the last page has been read: a sync that
    breaks is read again from where the one before it began. A row that changes while the sync
    runs changes after `read_at`, so the next sync reads it.

    Paging is by `id`, because a row keeps its place while it is read (or, for a task that is
    tried again, gets a higher id and comes once more at the end). There is no upper bound: it
    would hide a row for as long as Airflow keeps touching it, as it does a running task's.
    """

    replication_key = "read_at"
    is_sorted = False

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Follow the cursor that Airflow hands out."""
        return JSONPathPaginator("$.next_cursor")

    def get_url_params(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        """Ask for what changed since the bookmark, less the overlap."""
        params = {
            "limit": self.config["page_size"],
            "order_by": "id",
            "cursor": next_page_token or "",
        }
        if since := self.get_starting_timestamp(context):
            params["updated_at_gte"] = (since - OVERLAP).isoformat()
        return params

    def page(self, response: requests.Response) -> dict[str, Any]:
        """Return the answer, unless its server knows no cursors and would give one page only."""
        page = super().page(response)
        if "next_cursor" not in page:
            raise FatalAPIError(
                f"{self.path} has no cursor: tap-airflow needs Airflow 3.3 or newer"
            )
        return page


class WholeListStream(AirflowStream):
    """A short list, read whole each time, that Airflow pages by offset only."""

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Page by offset, checking that no row slipped through."""
        return OverlappingPaginator(self.name, self.primary_keys[0])

    def get_url_params(
        self,
        context: Context | None,  # noqa: ARG002
        next_page_token: str | None,
    ) -> dict[str, Any]:
        """Ask for a page in the order of the key."""
        return {
            "limit": self.config["page_size"],
            "offset": next_page_token or "0",
            "order_by": self.primary_keys[0],
        }

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Yield each row once, though pages overlap and may be read again."""
        seen = set()
        for row in super().get_records(context):
            key = row[self.primary_keys[0]]
            if key not in seen:
                seen.add(key)
                yield row


class OverlappingPaginator(BaseAPIPaginator[str]):
    """Offset paging in which every page must begin with the last row of the one before.

    If it does not, rows came or went before it and an unread row may have moved to a place that
    was read already: start again. Offsets are strings because the SDK takes 0 for the end.

    Args:
        rows: Name of the list in the answer.
        key: The column that identifies a row, by which the list is ordered.
    """

    def __init__(self, rows: str, key: str) -> None:
        super().__init__("0")
        self._rows = rows
        self._key = key
        self._last: Any = None

    def get_next(self, response: requests.Response) -> str | None:
        """Return the offset of the last row seen, "0" to start again, or None at the end."""
        page = response.json()
        keys = [row[self._key] for row in page[self._rows]]
        if self._last is not None and keys[:1] != [self._last]:
            self._last = None
            return "0"
        self._last = keys[-1]
        read = int(self.current_value) + len(keys)
        return str(read - 1) if read < page["total_entries"] else None

    def continue_if_empty(self, response: requests.Response) -> bool:  # noqa: ARG002
        """Start again after an empty page, unless it is the first."""
        return self._last is not None


def _sent_at(response: requests.Response) -> datetime:
    """Return when the request was sent, on the clock of the server if it tells the time."""
    date = response.headers.get("Date")
    answered = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return answered - response.elapsed
