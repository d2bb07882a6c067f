"""BATCH messages: the same rows as RECORDs, without reading them one by one."""

import gzip
import io
import json

import duckdb
import pytest
from target_duckdb.connector import LoadError
from target_duckdb.sinks import DuckDBSink
from target_duckdb.target import TargetDuckDB

SCHEMA = {
    "type": "SCHEMA",
    "stream": "things",
    "schema": {"properties": {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}}},
    "key_properties": ["id"],
}


def batch(*urls, **more):
    encoding = {"format": "jsonl", "compression": "gzip"}
    return {"type": "BATCH", "stream": "things", "encoding": encoding, "manifest": urls, **more}


def record(**values):
    return {"type": "RECORD", "stream": "things", "record": values}


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def load(tmp_path):
    def run(*messages, **config):
        path = tmp_path / "warehouse.duckdb"
        text = "".join(json.dumps(message) + "\n" for message in (SCHEMA, *messages))
        TargetDuckDB(config={"path": str(path), **config}).listen(io.StringIO(text))
        with duckdb.connect(path) as connection:
            return connection.execute("SELECT id, name FROM things ORDER BY ALL").fetchall()

    return run


@pytest.fixture
def no_record_is_read(monkeypatch):
    def fail(*_):
        pytest.fail("a record passed through Python")

    monkeypatch.setattr(DuckDBSink, "process_batch", fail)


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
@pytest.mark.parametrize("name", ["batch.jsonl", "sp ace%20#[a-c]*?é.json.gz"])
@pytest.mark.usefixtures("no_record_is_read")
def test_a_file_is_read_by_what_it_is_and_wherever_it_is(load, tmp_path, pack, name):
    file = tmp_path / name
    file.write_bytes(pack(lines({"id": 1, "name": "a"}, {"id": 2}, {"id": 1, "name": "b"})))
    (tmp_path / "sp ace%20#bxyé.json.gz").write_bytes(lines({"id": 9}))
    assert load(batch(file.as_uri())) == [(1, "b"), (2, None)]


@pytest.mark.usefixtures("no_record_is_read")
def test_of_one_key_in_several_files_the_last_row_wins(load, tmp_path):
    urls = []
    for number in range(3):
        file = tmp_path / f"{number}.jsonl"
        file.write_bytes(lines({"id": 1, "name": f"file {number}"}, {"id": 10 + number}))
        urls.append(file.as_uri())
    assert load(batch(*urls)) == [(1, "file 2"), (10, None), (11, None), (12, None)]


def test_records_before_a_batch_do_not_replace_its_rows(load, tmp_path):
    file = tmp_path / "batch.jsonl"
    file.write_bytes(lines({"id": 1, "name": "newer"}))
    assert load(record(id=1, name="older"), batch(file.as_uri())) == [(1, "newer")]


def test_a_file_that_is_broken_near_its_end_leaves_nothing_of_its_batch(load, tmp_path):
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    whole.write_bytes(lines({"id": 1}))
    broken.write_bytes(lines({"id": 2}, {"id": 3}) + b'{"id": 4, "na')
    with pytest.raises(LoadError, match="Malformed JSON"):
        load(batch(whole.as_uri(), broken.as_uri()))
    assert load() == []


def test_a_file_that_is_not_on_this_machine_is_fetched(load):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.filesystem("memory").open("/bucket/batch.jsonl", "wb") as file:
        file.write(lines({"id": 1, "name": "far"}))
    assert load(batch("memory://bucket/batch.jsonl")) == [(1, "far")]


@pytest.mark.usefixtures("no_record_is_read")
def test_a_line_longer_than_duckdb_expects_is_loaded(load, tmp_path):
    file = tmp_path / "batch.jsonl"
    file.write_bytes(lines({"id": 1, "name": "x" * 40_000_000}, {"id": 2, "name": "y"}))
    assert [(key, len(name)) for key, name in load(batch(file.as_uri()))] == [
        (1, 40_000_000),
        (2, 1),
    ]


@pytest.mark.usefixtures("no_record_is_read")
def test_a_batch_has_the_same_metadata_as_records(load, tmp_path):
    file = tmp_path / "batch.jsonl"
    deleted = "2024-01-02T03:04:05+00:00"
    file.write_bytes(lines({"id": 1}, {"id": 2, "_sdc_deleted_at": deleted}))
    load(batch(file.as_uri(), version=7), add_record_metadata=True)
    with duckdb.connect(tmp_path / "warehouse.duckdb") as connection:
        rows = connection.execute(
            "SELECT id, _sdc_table_version, _sdc_deleted_at::VARCHAR, "
            "bool_and(_sdc_received_at > now() - INTERVAL 1 HOUR AND _sdc_batched_at <= now() "
            "AND _sdc_sequence > 0 AND _sdc_sync_started_at > 0) OVER () FROM things ORDER BY id"
        ).fetchall()
    assert [row[:2] for row in rows] == [(1, 7), (2, 7)]
    assert [row[2] is None for row in rows] == [True, False]
    assert all(row[3] for row in rows)


def test_stream_maps_change_the_rows_of_a_batch_too(load, tmp_path):
    file = tmp_path / "batch.jsonl"
    file.write_bytes(lines({"id": 1, "name": "a"}, {"id": 2, "name": "b"}))
    rows = load(
        batch(file.as_uri()), stream_maps={"things": {"name": "name + '!'", "__filter__": "id > 1"}}
    )
    assert rows == [(2, "b!")]


@pytest.mark.parametrize("how", ["address", "path"])
def test_a_file_is_removed_when_it_is_loaded(load, tmp_path, how):
    file = tmp_path / "batch.jsonl"
    file.write_bytes(lines({"id": 1, "name": "a"}))
    assert load(batch(file.as_uri() if how == "address" else str(file))) == [(1, "a")]
    assert not file.exists()


def test_a_file_that_is_not_loaded_stays(load, tmp_path):
    file = tmp_path / "batch.jsonl"
    file.write_bytes(lines({"id": "no number", "name": "a"}))
    with pytest.raises(LoadError):
        load(batch(file.as_uri()))
    assert file.exists()


def test_files_stay_if_that_is_asked(load, tmp_path):
    file = tmp_path / "batch.jsonl"
    file.write_bytes(lines({"id": 1, "name": "a"}))
    load(batch(file.as_uri()), clean_up_batch_files=False)
    assert file.exists()
