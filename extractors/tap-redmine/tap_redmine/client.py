"""Reading Redmine's REST API: the key, errors, and what changed since the last sync.

Redmine docs: https://www.redmine.org/projects/redmine/wiki/Rest_api
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import FatalAPIError
from singer_sdk.helpers.conform import TypeConformanceLevel

from tap_redmine.answers import WRONG_ADDRESS, check
from tap_redmine.paging import OffsetPaging, UpdatedOnPaging
from tap_redmine.rows import flatten

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context

    from tap_redmine.tap import TapRedmine

OVERLAP = timedelta(minutes=125)
"""How far before the bookmark a sync starts.

Two hours, because Redmine stores times in the time zone of its server. When daylight saving time
ends, an hour occurs twice, and a change in the second may seem up to two hours older than a
bookmark from the first. Five minutes more, for transactions that were open during the last sync
and for clocks that differ between servers. Rows read twice are upserted.
"""

MAX_CLOCK_LEAD = timedelta(minutes=5)
"""How far into the future a sync reads, by the tap's clock.

Without a limit, a row that a wrong clock dates years ahead would move the bookmark there, and all
changes until then would be missed.
"""

MAX_RETRY_AFTER = 300
"""Longest wait in seconds that a Retry-After header is granted: a sync should fail, not hang."""


class RedmineStream(RESTStream):
    """A list of Redmine's REST API."""

    allow_redirects = False
    # Redmine's JSON already has the schema's types; checking them nearly doubles the cost.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapRedmine) -> None:
        super().__init__(tap)
        self._columns = list(self.schema["properties"])

    @property
    def url_base(self) -> str:
        """The address of Redmine."""
        return cast("TapRedmine", self._tap).api_url

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        """The key in a header: in a URL it would be logged."""
        return APIKeyAuthenticator(key="X-Redmine-API-Key", value=self.config["api_key"])

    @property
    def rows_name(self) -> str:
        """The name of the list in the response."""
        return self.path.rpartition("/")[2].removesuffix(".json")

    def get_json(self, path: str, params: dict[str, Any], name: str) -> dict[str, Any]:
        """Return a response of Redmine as JSON; retry if the server is busy.

        Args:
            path: The path of the request.
            params: The query parameters of the request.
            name: A name that the response must contain.

        Raises:
            FatalAPIError: The response is not Redmine's.
        """
        request = self.build_prepared_request(
            method="GET", url=f"{self.url_base}{path}", params=params, headers=self.http_headers
        )
        answer = self.request_decorator(self._request)(request, None).json()
        if not isinstance(answer, dict) or name not in answer:
            raise FatalAPIError(f"the response of {path} has no {name}: {WRONG_ADDRESS}")
        return answer

    def validate_response(self, response: requests.Response) -> None:
        """Raise an error of one line for a response that is not the API's."""
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

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the list from its first page, after checking the key."""
        cast("TapRedmine", self._tap).check_key(self)
        yield from super().get_records(context)

    def request_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Yield each row of the list once."""
        paging = self.paging(context)
        while not paging.ended:
            params = cast("dict[str, Any]", self.get_url_params(context, None))
            answer = self.get_json(self.path, {**params, **paging.params}, self.rows_name)
            yield from paging.take(answer[self.rows_name], answer.get("limit"))

    def paging(self, context: Context | None) -> OffsetPaging:  # noqa: ARG002
        """Return how to page through the list."""
        return OffsetPaging(self.config["page_size"])

    def post_process(
        self,
        row: dict[str, Any],
        context: Context | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return a row's values of the declared columns."""
        flat = flatten(row)
        return {name: flat.get(name) for name in self._columns}


class WholeListStream(RedmineStream):
    """A list that Redmine cannot filter by time of change; every sync reads all of it."""

    sort: str | None = None
    """An order in which rows keep their places when they change."""

    def __init__(self, tap: TapRedmine) -> None:
        super().__init__(tap)
        self._read_at = datetime.now(UTC).isoformat()

    def get_url_params(self, context: Context | None, next_page_token: None) -> dict[str, Any]:  # noqa: ARG002
        """Return the parameters for the order on which paging relies."""
        return {"sort": self.sort} if self.sort else {}

    def post_process(self, row: dict[str, Any], context: Context | None = None) -> dict[str, Any]:
        """Add the time of the sync: a row with an older time no longer exists."""
        return {**super().post_process(row, context), "read_at": self._read_at}


class ChangedIssuesStream(RedmineStream):
    """The issues that changed since the last sync, in the order in which they changed.

    A row that changes during the sync is read once more at the end. The bookmark can follow the
    rows, so that a sync after a failed one continues where it failed.
    """

    path = "/issues.json"
    is_sorted = True
    # The overlap is before the bookmark.
    check_sorted = False

    def get_url_params(self, context: Context | None, next_page_token: None) -> dict[str, Any]:  # noqa: ARG002
        """Include closed issues, which Redmine leaves out by default."""
        return {"status_id": "*"}

    def paging(self, context: Context | None) -> UpdatedOnPaging:
        """Return how to page from before the bookmark to about now."""
        since = self.get_starting_timestamp(context)
        return UpdatedOnPaging(
            self.config["page_size"],
            _redmine_time(since - OVERLAP) if since else "1970-01-01T00:00:00Z",
            _redmine_time(datetime.now(UTC) + MAX_CLOCK_LEAD),
        )


def _redmine_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
