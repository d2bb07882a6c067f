"""tap-sftp against a real OpenSSH server: what is read, and what is read again."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import jsonschema
import paramiko
import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_sftp.client import SftpServer
from tap_sftp.errors import TapSftpError
from tap_sftp.tap import TapSftp

from tests.connectors.servers.sftp_files import FILES, LONG_AGO, bookings, orders, stock
from tests.support.tap_sync import UpsertingLoader

SUITE = SuiteConfig(max_records_limit=None)
StandardTests = get_tap_test_class(
    TapSftp,
    config={"host": "placeholder", "username": "me", "password": "none", "files": FILES[:2]},
    suite_config=SUITE,
    parse_env_config=False,
)


class TestStandard(StandardTests):
    """The SDK's own tests, which ask for the streams before the server runs.

    So they have those that need no header: test_all_formats_are_read has the others.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, sftp):
        runner = TapTestRunner(
            TapSftp, config={**sftp.settings, "files": FILES[:2]}, suite_config=SUITE
        )
        runner.sync_all()
        return runner


@pytest.fixture
def folder(sftp) -> str:
    """A folder of the test's own."""
    name = f"test_{uuid4()}"
    sftp.sender.mkdir(name)
    return name


@pytest.fixture
def drop(sftp, folder) -> Callable[..., str]:
    """Send a file into the test's folder, and return its path."""

    def put(name: str, content: bytes, modified: int = LONG_AGO) -> str:
        path = f"{folder}/{name}"
        sftp.put(path, content, modified)
        return path

    return put


@pytest.fixture
def loader(sftp, folder) -> UpsertingLoader:
    """Loads the orders of the test's folder; there is one column and no type."""
    entry = {"name": "drops", "path": f"{folder}/*.csv*", "format": "csv"}
    return UpsertingLoader(TapSftp, {**sftp.settings, "files": [entry]})


def files(rows: list[dict]) -> list[str]:
    return sorted({Path(row["_file"]).name for row in rows})


def test_all_formats_are_read_with_their_types(sftp):
    loader = UpsertingLoader(TapSftp, {**sftp.settings, "files": FILES})
    loader.sync()
    assert {name: len(rows) for name, rows in loader.tables.items()} == {
        "bookings": 30,
        "statements": 15,
        "orders": 15,
        "stock": 12,
    }
    assert loader.tables["bookings"]["bank/bookings_1.txt", 2] == {
        "_file": "bank/bookings_1.txt",
        "_row": 2,
        "_modified": "2026-01-01T00:00:00+00:00",
        "account": "0909925047",
        "booked_on": "2025-03-10",
        "amount": 90993.12,
        "payee": "Müller & Söhne",
    }
    order = loader.tables["orders"][("14",)]
    assert order["_file"] == "shop/orders_3.csv.zip/south"
    assert order["customer"] == 'Kunde "14";\nzu Händen'
    assert (order["total"], order["paid"]) == (1234.54, True)
    assert loader.tables["statements"][("R15",)]["iban"] == "DE02120300000000202051"
    assert loader.tables["stock"]["erp/north/stock_1.xlsx", 10]["Pieces"] == 8


def test_all_rows_fit_their_schemas(sftp, capsys):
    TapSftp(config={**sftp.settings, "files": FILES}).sync_all()
    schemas, rows = {}, 0
    for message in map(json.loads, capsys.readouterr().out.splitlines()):
        if message["type"] == "SCHEMA":
            schemas[message["stream"]] = jsonschema.Draft202012Validator(message["schema"])
            assert all("description" in each for each in message["schema"]["properties"].values())
        elif message["type"] == "RECORD":
            schemas[message["stream"]].validate(message["record"])
            rows += 1
    assert rows == 72


def test_a_file_is_read_once(loader, drop):
    drop("1.csv", b"a\nx\n")
    assert files(loader.sync()) == ["1.csv"]
    assert loader.sync() == []
    drop("2.csv", b"a\ny\n")
    assert files(loader.sync()) == ["2.csv"]


def test_files_of_the_same_second_are_all_read(loader, drop):
    drop("b.csv", b"a\nx\n")
    loader.sync()
    drop("a.csv", b"a\ny\n")
    drop("c.csv", b"a\nz\n")
    assert files(loader.sync()) == ["a.csv", "c.csv"]


def test_a_file_that_arrives_with_an_old_time_is_read(loader, drop):
    drop("new.csv", b"a\nx\n")
    loader.sync()
    drop("old.csv", b"a\ny\n", modified=LONG_AGO - 10**7)
    assert files(loader.sync()) == ["old.csv"]


def test_a_file_that_is_moved_into_place_is_read(loader, drop, sftp, folder):
    path = drop("1.csv", b"a\nx\n")
    loader.sync()
    sftp.sender.rename(path, f"{folder}/moved.csv")
    assert files(loader.sync()) == ["moved.csv"]
    assert list(loader.state["bookmarks"]["drops"]["files"]) == [f"{folder}/moved.csv"]


@pytest.mark.parametrize(
    ("content", "modified"),
    [(b"a\nXX\n", LONG_AGO), (b"a\nX\n", LONG_AGO + 1), (b"a\nX\n", LONG_AGO - 1)],
)
def test_a_file_that_is_sent_again_replaces_its_rows(loader, drop, content, modified):
    drop("1.csv", b"a\nx\n")
    loader.sync()
    path = drop("1.csv", content, modified)
    loader.sync()
    assert loader.tables["drops"][path, 2]["a"] == content.split()[1].decode()


def test_the_older_file_comes_first(loader, drop):
    loader.config["files"][0]["primary_keys"] = ["id"]
    drop("a.csv", b"id,v\n1,new\n", modified=LONG_AGO + 9)
    drop("z.csv", b"id,v\n1,old\n", modified=LONG_AGO)
    loader.sync()
    assert loader.tables["drops"][("1",)]["v"] == "new"


def test_a_file_that_was_just_changed_waits(loader, drop):
    drop("1.csv", b"a\nx\n", modified=int(time.time()))
    assert loader.sync() == []
    loader.config["settle_seconds"] = 0
    assert files(loader.sync()) == ["1.csv"]


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_file_that_changes_when_it_is_read_waits(loader, drop, monkeypatch, moment):
    path = drop("1.csv", b"a\nx\n")
    drop("2.csv", b"a\ny\n", modified=LONG_AGO + 1)
    readv = paramiko.SFTPFile.readv
    fetch = SftpServer.fetch

    def go_on_uploading(*_: object) -> None:
        drop("1.csv", b"a\nx\nand more\n")

    def fetch_changed(self, remote, target):
        if remote.path == path:
            go_on_uploading()
        return fetch(self, remote, target)

    def read_changing(self, chunks):
        yield from readv(self, chunks)
        go_on_uploading()

    if moment == "before":
        monkeypatch.setattr(SftpServer, "fetch", fetch_changed)
    else:
        monkeypatch.setattr("paramiko.SFTPFile.readv", read_changing)
    assert files(loader.sync()) == ["2.csv"]
    monkeypatch.undo()
    assert [row["a"] for row in loader.sync()] == ["x", "and more"]


def test_a_file_that_goes_before_it_is_read_is_no_error(loader, drop, sftp, monkeypatch):
    path = drop("1.csv", b"a\nx\n")
    drop("2.csv", b"a\ny\n", modified=LONG_AGO + 1)
    loader.sync()
    drop("1.csv", b"a\nxx\n")
    fetch = SftpServer.fetch

    def remove_and_fetch(self, remote, target):
        sftp.sender.remove(path)
        return fetch(self, remote, target)

    monkeypatch.setattr(SftpServer, "fetch", remove_and_fetch)
    assert loader.sync() == []


def test_start_date_leaves_out_what_is_older(loader, drop):
    loader.config["start_date"] = "2026-01-01T00:00:01Z"
    drop("1.csv", b"a\nx\n")
    drop("2.csv", b"a\ny\n", modified=LONG_AGO + 1)
    assert files(loader.sync()) == ["2.csv"]


def test_a_file_that_cannot_be_read_stops_and_what_was_read_stays_read(loader, drop):
    drop("1.csv", b"a\nx\n")
    bad = drop("2.csv", b"a,b\nx,y\nx\n", modified=LONG_AGO + 1)
    drop("3.csv", b"a\nz\n", modified=LONG_AGO + 2)
    with pytest.raises(
        TapSftpError, match=rf"{bad}:3: has 1 columns, but the header has 2; correct"
    ):
        loader.sync()
    drop("2.csv", b"a,b\nx,y\nx,z\n", modified=LONG_AGO + 1)
    loader.sync()
    assert [row["a"] for row in loader.loaded] == ["x", "x", "z"]
    assert files(loader.loaded) == ["2.csv", "3.csv"]


def test_a_sync_that_is_killed_goes_on_with_the_file_it_was_in(loader, drop, monkeypatch):
    monkeypatch.setattr("tap_sftp.streams.FilesStream.STATE_MSG_FREQUENCY", 2)
    drop("1.csv", b"a\nx\n")
    drop("2.csv", b"a\n1\n2\n3\n4\n", modified=LONG_AGO + 1)
    fetch = SftpServer.fetch
    drop("3.csv", b"a\nz\n", modified=LONG_AGO + 2)

    def die_at_the_third(self, remote, target):
        if remote.path.endswith("3.csv"):
            raise KeyboardInterrupt
        return fetch(self, remote, target)

    monkeypatch.setattr(SftpServer, "fetch", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        loader.sync()
    monkeypatch.undo()
    assert files(loader.sync()) == ["2.csv", "3.csv"]
    assert len(loader.tables["drops"]) == 6


def test_a_new_column_is_in_extra_until_it_is_discovered(loader, drop):
    first = drop("1.csv", b"a\nx\n", modified=LONG_AGO + 1)
    older = drop("0.csv", b"a,b\nx,y\n")
    loader.sync()
    assert loader.tables["drops"][first, 2]["_extra"] is None
    assert loader.tables["drops"][older, 2]["_extra"] == {"b": "y"}
    newest = drop("2.csv", b"a,b\nx,y\n", modified=LONG_AGO + 2)
    loader.sync()
    assert loader.tables["drops"][newest, 2]["b"] == "y"


def test_without_a_file_there_are_no_rows_and_no_error(loader):
    assert loader.sync() == []


def test_an_empty_file_has_no_rows(loader, drop):
    loader.config["files"][0]["primary_keys"] = ["id"]
    drop("1.csv", b"")
    assert loader.sync() == []
    assert loader.sync() == []
    assert len(loader.state["bookmarks"]["drops"]["files"]) == 1


def test_full_table_reads_all_again(loader, drop):
    drop("1.csv", b"a\nx\n")
    loader.sync()
    tap = TapSftp(config=loader.config)
    catalog = json.loads(tap.catalog_json_text)
    catalog["streams"][0]["replication_method"] = "FULL_TABLE"
    loader.tap = lambda **options: TapSftp(catalog=catalog, **options)
    assert len(loader.sync()) == 1
    assert len(loader.sync()) == 1


def test_only_selected_columns_and_streams_are_read(sftp):
    tap = TapSftp(config={**sftp.settings, "files": FILES})
    catalog = json.loads(tap.catalog_json_text)
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            chosen = stream["tap_stream_id"] == "stock" and each["breadcrumb"][1:] != ["Price"]
            each["metadata"]["selected"] = chosen
    loader = UpsertingLoader(
        lambda **options: TapSftp(catalog=catalog, **options), dict(tap.config)
    )
    loader.sync()
    assert list(loader.tables) == ["stock"]
    assert "Price" not in loader.loaded[0]
    assert "Pieces" in loader.loaded[0]


def test_patterns_go_through_folders_and_links(sftp, folder):
    for path in ("a/1.csv", "b/2.csv", "b/.hidden.csv", "b/sub.csv/3.csv", "elsewhere/4.csv"):
        sftp.put(f"{folder}/{path}", b"a\nx\n")
    sftp.sender.symlink("../elsewhere/4.csv", f"{folder}/a/link.csv")
    sftp.sender.symlink("../nowhere", f"{folder}/a/broken.csv")
    server = SftpServer(sftp.settings)
    try:
        found = [each.path for each in server.find(f"{folder}/[ab]/*.csv")]
        absolute = server.find(f"{sftp.home}/in/{folder}/?/1.csv")
        assert server.find(f"{folder}/*/missing/*.csv") == []
    finally:
        server.close()
    assert found == [f"{folder}/{path}" for path in ("a/1.csv", "a/link.csv", "b/2.csv")]
    assert [each.path for each in absolute] == [f"{sftp.home}/in/{folder}/a/1.csv"]


def test_batches_hold_the_same_rows(sftp, folder, drop, tmp_path, capsys):
    drop("1.txt", bookings(30))
    drop("2.txt", bookings(25), modified=LONG_AGO + 1)
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
        "batch_size": 20,
    }
    entry = {**FILES[0], "path": f"{folder}/*.txt"}
    TapSftp(config={**sftp.settings, "files": [entry], "batch_config": batch}).sync_all()
    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows, read_at_state = [], []
    for message in messages:
        if message["type"] == "BATCH":
            for url in message["manifest"]:
                with gzip.open(urlsplit(url).path) as lines:
                    rows += map(json.loads, lines)
        elif message["type"] == "STATE":
            read = message["value"]["bookmarks"]["bookings"]["files"]
            read_at_state.append((len(rows), len(read)))
    assert {row["_file"][-5:] for row in rows} == {"1.txt", "2.txt"}
    # A file is in the state only when all its rows are in batches.
    assert read_at_state == [(20, 0), (40, 1), (55, 2)]
    assert rows[0]["amount"] == 90993.12


def test_a_large_file_is_copied_whole(sftp, folder, drop):
    content = b"a\n" + b"".join(b"%063d\n" % n for n in range(100_000))
    drop("large.csv", content)
    server = SftpServer(sftp.settings)
    try:
        (remote,) = server.find(f"{folder}/*")
        with (sftp.home / "copy").open("w+b") as copy:
            assert server.fetch(remote, copy)
        assert (sftp.home / "copy").read_bytes() == content
    finally:
        server.close()


def test_a_spreadsheet_in_an_archive_is_read(sftp, folder, drop):
    drop("stock.xlsx.gz", gzip.compress(stock(3)))
    entry = {**FILES[3], "path": f"{folder}/*"}
    loader = UpsertingLoader(TapSftp, {**sftp.settings, "files": [entry]})
    assert [row["Pieces"] for row in loader.sync()] == [1, 2, 3]


def test_the_header_of_a_packed_file_is_found(loader, drop):
    drop("1.csv.gz", gzip.compress(orders(2)))
    loader.config["files"][0]["delimiter"] = ";"
    assert [row["order"] for row in loader.sync()] == ["1", "2"]
