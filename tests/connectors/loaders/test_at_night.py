"""The recipes of docs/at-night.md, as they stand there."""

import json
import re
import shutil

import duckdb
import pytest

from tests.support.destinations import DuckDB
from tests.support.running import CHECKOUT
from tests.support.shop_project import ORDERS, Shop
from tests.support.singer_source import Stream
from tests.support.tap_shop import row

PAGE = (CHECKOUT / "docs/at-night.md").read_text()
ID = "dev:tap-shop-to-target-duckdb"
ROWS = 60
CUSTOMERS = Stream("customers", ORDERS.properties)
LAST = {name: row(ROWS - 1)["changed"] for name in ("orders", "customers")}


def recipe(title, number=0):
    """Return a block of commands below a heading."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[number]


def project(folder):
    return Shop(folder, DuckDB(folder / "warehouse.duckdb"), rows=ROWS)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A project whose job ran once."""
    shop = project(tmp_path_factory.mktemp("night") / "shop")
    done = shop.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.bookmarks == LAST
    return shop


@pytest.fixture
def shop(loaded, tmp_path):
    """A copy of it in which rows of both streams have gone wrong."""
    shutil.copytree(loaded.root, tmp_path / "shop")
    shop = project(tmp_path / "shop")
    with duckdb.connect(shop.destination.path) as warehouse:
        for table in ("orders", "customers"):
            warehouse.execute(f"UPDATE shop.{table} SET text = 'wrong'")  # noqa: S608
    return shop


def do(shop, commands):
    done = shop.shell(commands)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wrong(shop, stream):
    return {each["id"] for each in shop.rows(stream) if each["text"] == "wrong"}


def test_one_stream_again_and_whole(shop):
    do(shop, recipe("One stream again, whole"))
    assert (wrong(shop, ORDERS), len(wrong(shop, CUSTOMERS))) == (set(), ROWS)
    assert shop.bookmarks == LAST


def test_a_day_again(shop):
    do(shop, recipe("A day again"))
    assert wrong(shop, ORDERS) == {*range(ROWS)} - {*range(24, 48)}
    assert shop.bookmarks == LAST


def test_state_from_the_backup(shop):
    listed = do(shop, recipe("What is remembered"))
    assert f"{ID}\n" in listed
    do(shop, recipe("State from the backup"))
    kept = json.loads((shop.root / "state.json").read_text())
    assert kept["singer_state"]["bookmarks"].keys() == LAST.keys()
    do(shop, f"meltano state clear --force {ID}")
    assert shop.bookmarks == {}
    do(shop, recipe("State from the backup", 1))
    assert shop.bookmarks == LAST
