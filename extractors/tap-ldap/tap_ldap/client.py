"""How a stream reads its entries, and which of them have changed since the last time.

RFC 4512, 3.4, has the operational attributes that this rests on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel

from tap_ldap.columns import Column
from tap_ldap.faults import DirectoryError

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context

    from tap_ldap.tap import TapLDAP

OVERLAP = timedelta(hours=1)
"""How far before the bookmark a sync starts.

A change reaches a replica later than the provider that stamped it, servers' clocks differ, and a
stamp has whole seconds. Entries read twice are upserted; an hour of changes costs little.
"""


class EntryStream(Stream):
    """Entries that a filter finds, those changed since the last sync.

    Entries come in the directory's own order, so the bookmark is set when the last page is read.
    """

    # Rows are made as the schema says; the SDK need not look at each value again.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    replication_key = "modified_at"
    columns: tuple[Column, ...]
    filter_setting: ClassVar[str]

    def __init__(self, tap: TapLDAP, **kwargs: Any) -> None:
        super().__init__(tap, **kwargs)
        self.directory = tap.directory
        self.read_at = ""
        self.wanted: list[Column] = []

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:
        """Yield the rows of what changed since the bookmark, or of everything."""
        self.read_at = datetime.now(UTC).isoformat()
        self.wanted = self.wanted_columns()
        search_filter = self.config[self.filter_setting]
        if since := self.get_starting_timestamp(context):
            search_filter = f"(&{search_filter}{self._changed(since - OVERLAP)})"
        base = self.config["base_dn"]
        for dn, found in self.directory.search(base, search_filter, self.attributes()):
            yield from self.rows(dn, found)

    def wanted_columns(self) -> list[Column]:
        """Return the columns that are selected; the directory is asked for no others."""
        return [each for each in self.columns if self.mask["properties", each.name]]

    def attributes(self) -> list[str]:
        """Return the attributes to ask for."""
        return list({name: None for each in self.wanted for name in each.attributes})

    @abstractmethod
    def rows(self, dn: str, found: dict[str, list[bytes]]) -> Iterable[dict[str, Any]]:
        """Return the rows of an entry."""

    def wanted_values(self, dn: str, found: dict[str, list[bytes]]) -> dict[str, Any]:
        """Return what an entry has in the wanted columns.

        Raises:
            DirectoryError: The entry has nothing that identifies it.
        """
        row = {each.name: each.value(found) for each in self.wanted}
        if row[self.primary_keys[0]] is None:
            raise DirectoryError(
                f"{dn} has neither entryUUID nor objectGUID, or bind_dn may not read them: "
                "without one, its row would not be found again"
            )
        return row | {"read_at": self.read_at}

    def _changed(self, since: datetime) -> str:
        """Return the filter for what changed since then, and for what has no date at all."""
        # Active Directory computes modifyTimestamp, and cannot search for it.
        windows = self.directory.is_active_directory
        name, end = ("whenChanged", ".0Z") if windows else ("modifyTimestamp", "Z")
        stamp = f"{since.astimezone(UTC):%Y%m%d%H%M%S}{end}"
        return f"(|({name}>={stamp})(!({name}=*)))"
