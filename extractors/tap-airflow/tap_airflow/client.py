"""Reading Airflow's REST API: errors, paging, and what changed since the last sync.

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

from tap_airflow.answers import WRONG_ADDRESS, TokenRejectedError, check

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, RequestFunc

    from tap_airflow.auth import TokenAuthenticator
    from tap_airflow.tap import TapAirflow

OVERLAP = timedelta(minutes=5)
"""How far before the bookmark a sync starts.

Airflow sets a row's time when it writes the row, but shows the row only when the transaction ends.
Its scheduler, workers and API server may also have different clocks. Rows read twice are upserted.
"""

MAX_RETRY_AFTER = 300
"""Longest wait in seconds that a Retry-After header is granted: a sync should fail, not hang."""


class AirflowStream(RESTStream):
    """A list of Airflow's REST API."""

    allow_redirects = False
    rows: str | None = None
    """Name of the list in Airflow's response, if it is not the stream's name."""

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
        """The authenticator that all streams share."""
        return cast("TapAirflow", self._tap).authenticator

    def build_prepared_request(self, *args: Any, **kwargs: Any) -> requests.PreparedRequest:
        """Build a request without its token. It is added on sending, where a login is retried."""
        kwargs["headers"] = {"User-Agent": self.user_agent, **kwargs["headers"]}
        return self.requests_session.prepare_request(requests.Request(*args, **kwargs))

    def validate_response(self, response: requests.Response) -> None:
        """Raise an error of one line for a response that is not a page of rows."""
        check(response)

    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        """Add one retry with a new token to the SDK's retries, for when Airflow rejects a token."""

        def send(request: requests.PreparedRequest, context: Context | None) -> requests.Response:
            try:
                return func(request, context)
            except TokenRejectedError:
                self.authenticator.forget_token()
                return func(request, context)

        return super().request_decorator(send)

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

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the list from its first page."""
        self._read_at = None
        yield from super().get_records(context)

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """Yield the rows of a page, and remember when the first page was requested."""
        if self._read_at is None:
            self._read_at = _sent_at(response).isoformat()
        yield from self.page(response)[self.rows or self.name]

    def page(self, response: requests.Response) -> dict[str, Any]:
        """Return a response as JSON, if it is one of Airflow's."""
        page = response.json()
        rows = self.rows or self.name
        if not isinstance(page, dict) or rows not in page:
            raise FatalAPIError(f"the response of {self.path} has no {rows}: {WRONG_ADDRESS}")
        return page

    def post_process(
        self,
        row: dict[str, Any],
        context: Context | None = None,  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """Keep the declared and selected columns: responses also hold rendered template values."""
        return {**{name: row.get(name) for name in self._columns}, "read_at": self._read_at}


class ChangesStream(AirflowStream):
    """Rows that changed since the last sync, from the lists that Airflow pages by a cursor.

    Airflow filters these lists by `updated_at` but does not return it. The replication key is
    therefore `read_at`, the time at which the sync began, on the server's clock. All rows of a
    sync have the same value. It is written to the state only after the last page: if a sync
    fails, the next one starts at the same bookmark. A row that changes during a sync changes
    after `read_at`, so the next sync reads it.

    Pages are ordered by `id`, because a row keeps its place during the sync. A task that is
    retried gets a higher ID and is read once more at the end. There is no upper bound: Airflow
    keeps updating the row of a running task, and a bound would hide it for all that time.
    """

    replication_key = "read_at"
    is_sorted = False

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Return a paginator that follows Airflow's cursor."""
        return JSONPathPaginator("$.next_cursor")

    def get_url_params(
        self, context: Context | None, next_page_token: str | None
    ) -> dict[str, Any]:
        """Return the parameters for what changed since the bookmark, less the overlap."""
        params = {
            "limit": self.config["page_size"],
            "order_by": "id",
            "cursor": next_page_token or "",
        }
        if since := self.get_starting_timestamp(context):
            params["updated_at_gte"] = (since - OVERLAP).isoformat()
        return params

    def page(self, response: requests.Response) -> dict[str, Any]:
        """Return a response as JSON; reject one without a cursor, which would be the only page."""
        page = super().page(response)
        if "next_cursor" not in page:
            raise FatalAPIError(
                f"the response of {self.path} has no cursor: tap-airflow requires Airflow 3.3 "
                "or newer"
            )
        return page


class WholeListStream(AirflowStream):
    """A short list that Airflow pages by offset only; every sync reads all of it."""

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Return a paginator that pages by offset and notices missed rows."""
        return OverlappingPaginator(self.name, self.primary_keys[0])

    def get_url_params(
        self,
        context: Context | None,  # noqa: ARG002
        next_page_token: str | None,
    ) -> dict[str, Any]:
        """Return the parameters for a page, ordered by the key."""
        return {
            "limit": self.config["page_size"],
            "offset": next_page_token or "0",
            "order_by": self.primary_keys[0],
        }

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Yield each row once, although pages overlap and may be read again."""
        seen = set()
        for row in super().get_records(context):
            key = row[self.primary_keys[0]]
            if key not in seen:
                seen.add(key)
                yield row


class OverlappingPaginator(BaseAPIPaginator[str]):
    """Offset paging in which every page must begin with the last row of the previous page.

    If it does not, rows were added or deleted before it, and an unread row may now be on a page
    that was already read: start again. Offsets are strings because the SDK takes 0 for the end.

    Args:
        rows: Name of the list in the response.
        key: The column that identifies a row and orders the list.
    """

    def __init__(self, rows: str, key: str) -> None:
        super().__init__("0")
        self._rows = rows
        self._key = key
        self._last: Any = None

    def get_next(self, response: requests.Response) -> str | None:
        """Return the offset of the last row read, "0" to start again, or None at the end."""
        page = response.json()
        keys = [row[self._key] for row in page[self._rows]]
        if self._last is not None and keys[:1] != [self._last]:
            self._last = None
            return "0"
        self._last = keys[-1]
        read = int(self.current_value) + len(keys)
        return str(read - 1) if read < page["total_entries"] else None

    def continue_if_empty(self, response: requests.Response) -> bool:  # noqa: ARG002
        """Return whether to start again after an empty page: unless it is the first."""
        return self._last is not None


def _sent_at(response: requests.Response) -> datetime:
    """Return when the request was sent, on the server's clock if the response has its time."""
    date = response.headers.get("Date")
    answered = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return answered - response.elapsed
