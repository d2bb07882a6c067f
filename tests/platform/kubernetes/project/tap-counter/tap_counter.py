"""A source of a known number of rows, which can be slow, or greedy for memory."""

import time

from singer_sdk import Stream, Tap
from singer_sdk import typing as th


class Numbers(Stream):
    """The numbers from 1 up to `rows`; a run begins after its bookmark."""

    name = "numbers"
    primary_keys = ("id",)
    replication_key = "id"
    is_sorted = True
    STATE_MSG_FREQUENCY = 1000
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType), th.Property("text", th.StringType)
    ).to_dict()

    def get_records(self, context):
        """Yield the rows, `rows_per_second` of them at the most."""
        rate, hoard = self.config["rows_per_second"], []
        after = self.get_starting_replication_key_value(context) or 0
        started = time.monotonic()
        for count, number in enumerate(range(after + 1, self.config["rows"] + 1), start=1):
            yield {"id": number, "text": f"number {number}"}
            hoard.append(bytearray(self.config["bytes_per_row"]))
            if rate:
                time.sleep(max(0, count / rate - (time.monotonic() - started)))


class TapCounter(Tap):
    """See the module."""

    name = "tap-counter"
    config_jsonschema = th.PropertiesList(
        th.Property("rows", th.IntegerType, default=1000),
        th.Property("rows_per_second", th.IntegerType, default=0),
        th.Property("bytes_per_row", th.IntegerType, default=0),
    ).to_dict()

    def discover_streams(self):
        """Return the one stream."""
        return [Numbers(self)]
