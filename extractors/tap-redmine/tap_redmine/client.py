"""How Redmine's REST API is read: the key, errors, and what is new since the last time.

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
from tap_redmine.paging import Walk, WalkByTime
from tap_redmine.rows import flatten

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context

    from tap_redmine.tap import TapRedmine

OVERLAP = timedelta(minutes=125)
"""How far before the bookmark a sync starts.

Two hours because Redmine keeps times in the time zone of its server: when summer time ends, an
hour comes twice, and what changes in the second lies up to two hours before a bookmark of the
first. Five minutes for transactions that were open while the last sync read, and for clocks that
differ between servers. Rows read twice are upserted.
"""

AHEAD = timedelta(minutes=5)
"""How far after now a sync reads, by the tap's clock.

A row that some wrong clock dated years ahead would else take the bookmark there, and all that
changes until then would be lost.
"""

LONGEST_WAIT = 300
"""Seconds that Retry-After may ask for: a sync should fail rather than hang."""


class RedmineStream(RESTStream):
    """A list of Redmine's REST API."""

    allow_redirects = False
    # Redmine's JSON has the types of the schema already; looking again nearly doubles the cost.
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
        """The key, in a header: in an address it would be logged."""
        return APIKeyAuthenticator(key="X-Redmine-API-Key", value=self.config["api_key"])

    @property
    def rows_name(self) -> str:
        """What the list is called in the answer."""
        return self.path.rpartition("/")[2].removesuffix(".json")

    def ask(self, path: str, params: dict[str, Any], part: str) -> dict[str, Any]:
        """Return an answer of Redmine, after as many tries as it takes.

        Args:
            path: What to ask for.
            params: The query.
            part: What the answer must hold.

        Raises:
            FatalAPIError: It is some other server's JSON.
        """
        request = self.build_prepared_request(
            method="GET", url=f"{self.url_base}{path}", params=params, headers=self.http_headers
        )
        answer = self.request_decorator(self._request)(request, None).json()
        if not isinstance(answer, dict) or part not in answer:
            raise FatalAPIError(f"{path} answered without {part}: {WRONG_ADDRESS}")
        return answer

    def validate_response(self, response: requests.Response) -> None:
        """Raise one clear line for an answer that is not of the API."""
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

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the list from its first page on."""
        cast("TapRedmine", self._tap).check_key(self)
        yield from super().get_records(context)

    def request_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Yield each row of the list once."""
        walk = self.walk(context)
        while not walk.ended:
            asked = cast("dict[str, Any]", self.get_url_params(context, None))
            answer = self.ask(self.path, {**asked, **walk.params}, self.rows_name)
            yield from walk.take(answer[self.rows_name], answer.get("limit"))

    def walk(self, context: Context | None) -> Walk:  # noqa: ARG002
        """Return the way through the list."""
        return Walk(self.config["page_size"])

    def post_process(
        self,
        row: dict[str, Any],
        context: Context | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Reduce a row to the declared columns."""
        flat = flatten(row)
        return {name: flat.get(name) for name in self._columns}


class WholeListStream(RedmineStream):
    """A list that Redmine cannot filter by time of change: read whole each time."""

    sort: str | None = None
    """An order in which no row moves when it changes."""

    def __init__(self, tap: TapRedmine) -> None:
        super().__init__(tap)
        self._read_at = datetime.now(UTC).isoformat()

    def get_url_params(self, context: Context | None, next_page_token: None) -> dict[str, Any]:  # noqa: ARG002
        """Ask for the order that paging relies on."""
        return {"sort": self.sort} if self.sort else {}

    def post_process(self, row: dict[str, Any], context: Context | None = None) -> dict[str, Any]:
        """Add the time of the sync: a row that has not got the latest is gone."""
        return {**super().post_process(row, context), "read_at": self._read_at}


class ChangedIssuesStream(RedmineStream):
    """The issues that changed since the last sync, in the order in which they changed.

    A row that changes while it is read comes once more at the end, and the bookmark can follow
    the rows: a sync that breaks goes on from where it was.
    """

    path = "/issues.json"
    is_sorted = True
    # The overlap lies before the bookmark.
    check_sorted = False

    def get_url_params(self, context: Context | None, next_page_token: None) -> dict[str, Any]:  # noqa: ARG002
        """Ask for closed issues too, which Redmine leaves out unless asked."""
        return {"status_id": "*"}

    def walk(self, context: Context | None) -> Walk:
        """Start before the bookmark and end about now."""
        since = self.get_starting_timestamp(context)
        return WalkByTime(
            self.config["page_size"],
            _redmine_time(since - OVERLAP) if since else "1970-01-01T00:00:00Z",
            _redmine_time(datetime.now(UTC) + AHEAD),
        )


def _redmine_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
