"""A tap of the SDK whose rows are known, and which kills itself or its loader if it is told to."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from singer_sdk import Stream, Tap
from singer_sdk import typing as th

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def row(number):
    """Return an order; one comes each hour."""
    changed = (BEGIN + timedelta(hours=number)).isoformat()
    return {"id": number, "changed": changed, "text": f"été {number}" if number % 3 else None}


class Orders(Stream):
    name = "orders"
    primary_keys = ("id",)
    replication_key = "changed"
    is_sorted = True
    STATE_MSG_FREQUENCY = 7  # No whole batch of the loader: some rows wait.
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("changed", th.DateTimeType),
        th.Property("text", th.StringType),
    ).to_dict()

    def get_records(self, context):
        since = self.get_starting_timestamp(context) or BEGIN
        end = datetime.fromisoformat(self.config.get("end_date", "2100-01-01T00:00:00Z"))
        for number in range(self.config["rows"]):
            if since <= BEGIN + timedelta(hours=number) < end:
                self.kill(number)
                yield row(number)

    def kill(self, number):
        victim = self.config.get("kill")
        if victim and number == self.config["rows"] // 2:
            own = victim == "tap"
            os.kill(os.getpid() if own else int(Path("loader.pid").read_text()), signal.SIGKILL)


class Customers(Orders):
    name = "customers"


class TapShop(Tap):
    name = "tap-shop"
    config_jsonschema = th.PropertiesList(
        th.Property("rows", th.IntegerType, default=60),
        th.Property("start_date", th.DateTimeType),
        th.Property("end_date", th.DateTimeType),
        th.Property("kill", th.StringType),
    ).to_dict()

    def discover_streams(self):
        return [Orders(self), Customers(self)]


if __name__ == "__main__":
    TapShop.cli()
