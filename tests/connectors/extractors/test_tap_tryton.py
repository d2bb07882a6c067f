"""tap-tryton against a real Tryton: the whole, what changed since, rights, and wrong settings."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from singer_sdk.exceptions import FatalAPIError
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_tryton.client import OVERLAP, TrytonStream
from tap_tryton.streams import PartiesStream
from tap_tryton.tap import TapTryton

from tests.connectors.servers.tryton_source import Tryton, open_transaction

STREAMS = (
    "addresses",
    "invoice_lines",
    "invoices",
    "list_prices",
    "parties",
    "products",
    "sale_lines",
    "sales",
)
SUITE = SuiteConfig(max_records_limit=None)
StandardTests = get_tap_test_class(
    TapTryton,
    config={"url": "http://placeholder.invalid", "database": "none", "key": "none"},
    suite_config=SUITE,
    parse_env_config=False,
)


@pytest.fixture(scope="session")
def settings(tryton: Tryton) -> dict:
    return tryton.settings


# A column that is null in every row, such as replaced_by_id.
@pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")
class TestStandard(StandardTests):
    """The SDK's own tests, which want their settings before Tryton runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, settings):
        runner = TapTestRunner(TapTryton, config=settings, suite_config=SUITE)
        runner.sync_all()
        return runner


class Warehouse:
    """Loads what the tap writes by upsert, and keeps its state, as a real loader does."""

    def __init__(self, config: dict, *streams: str) -> None:
        self.config = config
        self.streams = streams
        self.state: dict = {}
        self.tables: dict[str, dict[int, dict]] = {name: {} for name in streams}
        self.read: list[tuple[str, int]] = []

    def sync(self, deselected: tuple[str, ...] = ()) -> Warehouse:
        """Read the streams, and note what was read."""
        tap = TapTryton(config=self.config, state=self.state)
        for name, stream in tap.streams.items():
            stream.metadata.root.selected = name in self.streams
            for column in deselected:
                stream.metadata["properties", column].selected = False
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(out):
            tap.sync_all()
        out.seek(0)
        self.read = []
        for message in (json.loads(line, parse_float=Decimal) for line in out):
            if message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "RECORD":
                name, row = message["stream"], message["record"]
                self.tables[name][row["id"]] = row
                self.read.append((name, row["id"]))
        return self

    def until_quiet(self, newest: int) -> Warehouse:
        """Read until only the newest record comes again, which the bookmark is the date of.

        A server tells its time in whole seconds, so the bookmark can be earlier at first.
        """
        for _ in range(100):
            if [number for _, number in self.sync().read] == [newest]:
                return self
        pytest.fail(f"more than {newest} is read again and again: {self.read}")

    def bookmark(self, stream: str) -> datetime:
        value = self.state["bookmarks"][stream]["replication_key_value"]
        return datetime.fromisoformat(value)


@pytest.fixture
def warehouse(settings, monkeypatch) -> Callable[..., Warehouse]:
    """Make warehouses that have read the streams, and read on without an overlap."""
    monkeypatch.setattr("tap_tryton.client.OVERLAP", timedelta(0))

    def make(*streams: str, **config: object) -> Warehouse:
        return Warehouse({**settings, **config}, *streams).sync()

    return make


@pytest.fixture
def between_pages(monkeypatch) -> Callable[[list[Callable[[], object]]], None]:
    """Do the next thing of a list after each page that Tryton has given out."""
    validate = TrytonStream.validate_response

    def plan(actions: list[Callable[[], object]]) -> None:
        def validate_and_act(self: TrytonStream, response: requests.Response) -> None:
            validate(self, response)
            if actions:
                actions.pop(0)()

        monkeypatch.setattr(TrytonStream, "validate_response", validate_and_act)

    return plan


def last(tryton: Tryton, model: str, domain: list) -> dict:
    return max(tryton.search(model, domain, "rec_name"), key=lambda row: row["id"])


# The whole


@pytest.mark.parametrize("stream", STREAMS)
def test_every_record_is_read_once(tryton, settings, stream):
    read = Warehouse(settings, stream).sync().read
    model = TapTryton(config=settings).streams[stream].model
    assert sorted(number for _, number in read) == [row["id"] for row in by_id(tryton, model)]


def by_id(tryton: Tryton, model: str) -> list[dict]:
    return sorted(tryton.search(model, [], "id"), key=lambda row: row["id"])


def test_values_are_those_of_tryton(tryton, settings):
    read = Warehouse(settings, "sales", "sale_lines", "products", "list_prices").sync().tables
    fields = ("number", "party", "sale_date", "total_amount", "currency.code", "state")
    for sale in tryton.search("sale.sale", [], *fields):
        row = read["sales"][sale["id"]]
        assert (row["number"], row["party_id"]) == (sale["number"], sale["party"])
        assert (row["sale_date"], row["state"]) == (sale["sale_date"], sale["state"])
        assert (row["total_amount"], row["currency_code"]) == (sale["total_amount"], "EUR")
        lines = [line for line in read["sale_lines"].values() if line["sale_id"] == sale["id"]]
        assert sum(line["amount"] for line in lines) == row["untaxed_amount"]
    product = read["products"][1]
    assert (product["name"], product["type"]) == ("Product 0", "service")
    assert product["is_active"] is True
    (price,) = [each for each in read["list_prices"].values() if each["template_id"] == 1]
    asked = tryton.search("product.template", [["id", "=", 1]], "list_price")[0]
    assert price["list_price"] == asked["list_price"] > 0


def test_what_is_not_active_is_read_too(tryton, settings):
    rows = Warehouse(settings, "parties").sync().tables["parties"].values()
    assert {row["is_active"] for row in rows} == {True, False}


def test_an_invoice_tells_what_it_invoices(settings):
    read = Warehouse(settings, "invoices", "invoice_lines", "sale_lines").sync().tables
    origins = [row["origin"] for row in read["invoice_lines"].values()]
    assert origins
    assert {f"sale.line,{number}" for number in read["sale_lines"]} >= set(origins)
    posted = [row for row in read["invoices"].values() if row["state"] == "posted"]
    assert posted
    for row in posted:
        assert row["number"]
        assert row["invoice_date"] == "2026-03-02"
        assert row["total_amount"] == row["untaxed_amount"] + row["tax_amount"]


def test_small_pages_read_the_same_as_one(settings):
    streams = ("parties", "sale_lines")
    whole = Warehouse(settings, *streams).sync()
    for size in (1, 7, len(whole.tables["parties"])):
        assert Warehouse({**settings, "page_size": size}, *streams).sync().read == whole.read


def test_a_batch_holds_the_same_rows(settings, tmp_path):
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri(), "prefix": ""},
    }
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        TapTryton(config={**settings, "batch_config": batches}).sync_all()
    (file,) = tmp_path.glob("*sales-*.gz")
    lines = gzip.decompress(file.read_bytes()).splitlines()
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    assert rows == list(Warehouse(settings, "sales").sync().tables["sales"].values())


# What changed since


def test_the_next_sync_reads_only_what_changed(tryton, warehouse):
    changed, other = (tryton.create("party.party", {"name": name}) for name in ("Changed", "Other"))
    parties = warehouse("parties").until_quiet(other)
    tryton.write("party.party", changed, name="Changed AG")
    new = tryton.create("party.party", {"name": "New"})
    assert {number for _, number in parties.sync().read} == {changed, new, other}
    rows = parties.tables["parties"]
    assert rows[changed]["name"] == "Changed AG"
    assert rows[changed]["changed_at"] > rows[changed]["created_at"]
    assert rows[new]["changed_at"] == rows[new]["created_at"]
    parties.until_quiet(new)


def test_a_sale_comes_again_with_its_lines_when_they_change(tryton, warehouse):
    sales = warehouse("sales", "sale_lines")
    draft = last(tryton, "sale.sale", [["state", "=", "draft"]])["id"]
    line = last(tryton, "sale.line", [["sale", "=", draft]])["id"]
    before = sales.tables["sales"][draft]["total_amount"]
    # Tryton's clients write a line through its sale.
    tryton.write("sale.sale", draft, lines=[["write", [line], {"quantity": 40.0}]])
    sales.sync()
    assert sales.tables["sale_lines"][line]["quantity"] == 40
    assert sales.tables["sales"][draft]["total_amount"] > before


def test_the_steps_of_a_sale_are_changes(tryton, warehouse):
    sales = warehouse("sales", "sale_lines", "invoices", "invoice_lines")
    draft = tryton.call("POST", f"sale.sale/{last(tryton, 'sale.sale', [])['id']}/copy", json={})[0]
    assert sales.sync().tables["sales"][draft]["state"] == "draft"
    tryton.write("sale.sale", draft, invoice_method="order", sale_date=None)
    for step, state in (("quote", "quotation"), ("confirm", "processing")):
        tryton.click("sale.sale", draft, step)
        assert sales.sync().tables["sales"][draft]["state"] == state
    assert sales.tables["sales"][draft]["number"]
    lines = [row for row in sales.tables["sale_lines"].values() if row["sale_id"] == draft]
    invoiced = {row["origin"] for row in sales.tables["invoice_lines"].values()}
    assert lines
    assert {f"sale.line,{row['id']}" for row in lines} <= invoiced


def test_a_product_comes_again_when_its_template_changes(tryton, warehouse):
    products = warehouse("products", "list_prices")
    tryton.write("product.template", 2, name="Product one", list_price=price("12.3456"))
    products.sync()
    row = next(row for row in products.tables["products"].values() if row["template_id"] == 2)
    assert ("products", row["id"]) in products.read
    assert row["name"] == "Product one"
    prices = products.tables["list_prices"].values()
    assert [each["list_price"] for each in prices if each["template_id"] == 2] == [
        Decimal("12.3456")
    ]
    tryton.write("product.template", 2, name="Product 1")


def price(text: str) -> dict[str, str]:
    return {"__class__": "Decimal", "decimal": text}


def test_no_change_is_lost_while_pages_are_read(tryton, warehouse, between_pages):
    numbers = [tryton.create("party.party", {"name": f"Paged {number}"}) for number in range(6)]
    parties = warehouse("parties", page_size=2)
    late: list[int] = []
    for number in numbers:
        tryton.write("party.party", number, name="Written")
    actions = [
        lambda: tryton.write("party.party", numbers[0], name="Read already"),
        lambda: tryton.write("party.party", numbers[5], name="Not read yet"),
        lambda: late.append(tryton.create("party.party", {"name": "New"})),
        lambda: tryton.delete("party.party", numbers[1]),
    ]
    began = datetime.now(UTC)
    between_pages(actions)
    parties.sync()
    assert actions == [], "there were fewer pages than the test needs"
    assert parties.bookmark("parties") <= began, "what is written during a sync is for the next"
    parties.sync()
    names = {number: parties.tables["parties"][number]["name"] for number in numbers + late}
    assert names.pop(numbers[1]) == "Written", "what is deleted in Tryton stays"
    assert names == {
        row["id"]: row["name"]
        for row in tryton.search("party.party", [["id", "in", numbers + late]], "name")
    }


def test_a_transaction_that_ends_late_is_not_lost(tryton, settings):
    number = tryton.create("party.party", {"name": "Late"})
    parties = Warehouse(settings, "parties").sync()
    with open_transaction(tryton) as transaction:
        began = datetime.now(UTC).replace(tzinfo=None) - OVERLAP * 0.9
        transaction.execute(
            "UPDATE party_party SET name = 'Imported', write_date = ? WHERE id = ?",
            (str(began), number),
        )
        assert parties.sync().tables["parties"][number]["name"] == "Late"
    assert parties.sync().tables["parties"][number]["name"] == "Imported"


def test_a_row_without_dates_is_read_by_a_whole_sync(tryton, settings):
    number = tryton.create("party.party", {"name": "From an old import"})
    with open_transaction(tryton) as transaction:
        transaction.execute(
            "UPDATE party_party SET create_date = NULL, write_date = NULL WHERE id = ?", (number,)
        )
    parties = Warehouse(settings, "parties").sync()
    assert parties.tables["parties"].pop(number)["changed_at"] is None
    assert parties.bookmark("parties")
    tryton.delete("party.party", number)


def test_start_date_limits_the_first_sync(tryton, settings):
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    parties = Warehouse({**settings, "start_date": tomorrow}, "parties").sync()
    assert parties.read == []
    assert "replication_key_value" not in parties.state["bookmarks"]["parties"]


# Rights, selection and wrong settings


def test_only_selected_columns_are_asked_for(settings, monkeypatch):
    asked: list[str] = []
    send = requests.Session.send

    def note(self, request, **options):
        asked.append(request.url)
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", note)
    columns = ("total_amount", "untaxed_amount", "tax_amount", "currency_code")
    rows = Warehouse(settings, "sales").sync(columns).tables["sales"].values()
    fields = parse_qs(urlsplit(asked[0]).query)["f"]
    assert [each for each in fields if "amount" in each or "currency" in each] == []
    assert "state" in fields
    assert not any(row.keys() & set(columns) for row in rows)


def test_a_user_without_rights_is_told_in_tryton_s_words(tryton, settings):
    with pytest.raises(FatalAPIError, match=r'returned 400 .*not allowed to access "Sale"'):
        Warehouse({**settings, "key": tryton.keys["nobody"]}, "sales").sync()


@pytest.mark.parametrize("field", ["code", "write_date"])
def test_a_field_that_tryton_hides_is_not_read_as_null(tryton, settings, field):
    refused = dict.fromkeys(("perm_read", "perm_write", "perm_create", "perm_delete"), False)
    hidden = tryton.create(
        "ir.model.field.access", {"model": "party.party", "field": field, **refused}
    )
    try:
        with pytest.raises(FatalAPIError, match=f"without {field}, which the key's user may"):
            Warehouse(settings, "parties").sync()
    finally:
        tryton.delete("ir.model.field.access", hidden)


def test_a_model_that_tryton_lacks_is_named(settings, monkeypatch):
    monkeypatch.setattr(PartiesStream, "model", "party.nope")
    with pytest.raises(FatalAPIError, match=r"does not have party\.nope\. Activate the module"):
        Warehouse(settings, "parties").sync()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"key": "0" * 128}, "returned 401 UNAUTHORIZED: Tryton rejects the key"),
        ({"database": "another"}, "returned 404 NOT FOUND: are url and database correct?"),
        ({"url": "{url}/shop"}, "NOT ALLOWED: are url and database correct?"),
    ],
)
def test_the_executable_ends_in_one_line(settings, wrong, line, tmp_path):
    wrong = {name: value.format(**settings) for name, value in wrong.items()}
    config = {**settings, **wrong}
    (tmp_path / "config.json").write_text(json.dumps(config))
    run = subprocess.run(
        [Path(sys.executable).with_name("tap-tryton"), "--config", tmp_path / "config.json"],
        env={**os.environ, "TAP_TRYTON_LOGLEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert line in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert config["key"] not in run.stderr
