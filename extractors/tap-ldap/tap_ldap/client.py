"""How a stream reads the entries that have changed since the last sync.

The operational attributes used here are defined in RFC 4512, section 3.4.
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

A change reaches a replica some time after the provider that set its timestamp, servers' clocks
differ, and timestamps have whole seconds. Entries read twice are upserted; an hour costs little.
"""


class EntryStream(Stream):
    """Entries that match a filter and have changed since the last sync.

    The directory returns entries in its own order, so the bookmark is set after the last page.
    """

    # Rows already conform to the schema; the SDK need not check each value.
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
        """Yield the rows of entries changed since the bookmark, or of all entries without one."""
        self.read_at = datetime.now(UTC).isoformat()
        self.wanted = self.wanted_columns()
        search_filter = self.config[self.filter_setting]
        if since := self.get_starting_timestamp(context):
            search_filter = f"(&{search_filter}{self._changed(since - OVERLAP)})"
        base = self.config["base_dn"]
        for dn, found in self.directory.search(base, search_filter, self.attributes()):
            yield from self.rows(dn, found)

    def wanted_columns(self) -> list[Column]:
        """Return the selected columns; only their attributes are requested."""
        return [each for each in self.columns if self.mask["properties", each.name]]

    def attributes(self) -> list[str]:
        """Return the attributes to request."""
        return list({name: None for each in self.wanted for name in each.attributes})

    @abstractmethod
    def rows(self, dn: str, found: dict[str, list[bytes]]) -> Iterable[dict[str, Any]]:
        """Return the rows of an entry."""

    def wanted_values(self, dn: str, found: dict[str, list[bytes]]) -> dict[str, Any]:
        """Return an entry's values of the selected columns.

        Raises:
            DirectoryError: The entry has no ID.
        """
        row = {each.name: each.value(found) for each in self.wanted}
        if row[self.primary_keys[0]] is None:
            raise DirectoryError(
                f"{dn} has neither entryUUID nor objectGUID, or bind_dn may not read them: "
                "without either, its row has no key"
            )
        return row | {"read_at": self.read_at}

    def _changed(self, since: datetime) -> str:
        """Return the filter for entries changed since then, and for entries without a date."""
        # Active Directory computes modifyTimestamp and cannot search for it.
        is_active_directory = self.directory.is_active_directory
        name, suffix = ("whenChanged", ".0Z") if is_active_directory else ("modifyTimestamp", "Z")
        timestamp = f"{since.astimezone(UTC):%Y%m%d%H%M%S}{suffix}"
        return f"(|({name}>={timestamp})(!({name}=*)))"
