"""`meltano run` when the tap or the loader is killed: what it remembers is in the warehouse."""

import pytest

from tests.support.loads import assert_same
from tests.support.shop_project import ORDERS, Shop
from tests.support.tap_shop import row

pytestmark = pytest.mark.faults
ROWS = 60


def assert_complete_after_a_kill(shop, victim):
    killed = shop.run(TAP_SHOP_KILL=victim)
    assert killed.returncode == 1, killed.stdout + killed.stderr
    bookmark = shop.bookmarks.get("orders", "")
    covered = [each["id"] for each in map(row, range(ROWS)) if each["changed"] <= bookmark]
    assert {*covered} <= {each["id"] for each in shop.rows()}
    assert len(covered) < ROWS

    again = shop.run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same(ORDERS, shop.rows(), [row(number) for number in range(ROWS)])
    assert shop.bookmarks["orders"] == row(ROWS - 1)["changed"]


def test_a_killed_loader_leaves_no_bookmark_ahead_of_its_rows(destination, tmp_path):
    assert_complete_after_a_kill(Shop(tmp_path, destination, rows=ROWS), "loader")


def test_a_killed_tap_leaves_no_bookmark_ahead_of_its_batches(duckdb_file, tmp_path):
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
        "batch_size": 10,
    }
    shop = Shop(tmp_path, duckdb_file, rows=ROWS, batch_config=batches)
    assert_complete_after_a_kill(shop, "tap")
