"""Rows in, rows out: keys, types, names and changing schemas."""

import datetime as dt
import io
import json
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.exceptions import ConformedNameClashException
from singer_sdk.singerlib.json import serialize_json
from target_duckdb.connector import LoadError
from target_duckdb.target import TargetDuckDB

INTEGER = {"type": ["null", "integer"]}
NUMBER = {"type": ["null", "number"]}
STRING = {"type": ["null", "string"]}


def schema(properties, keys=("id",), stream="things"):
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties},
        "key_properties": list(keys),
    }


def record(stream="things", version=None, **values):
    message = {"type": "RECORD", "stream": stream, "record": values}
    return message if version is None else {**message, "version": version}


def batch(*files, stream="things", compression="none", **more):
    encoding = {"format": "jsonl", "compression": compression}
    manifest = [file.as_uri() for file in files]
    return {"type": "BATCH", "stream": stream, "encoding": encoding, "manifest": manifest, **more}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse.duckdb")


class Warehouse:
    def __init__(self, path):
        self.path = path

    def load(self, *messages, **config):
        lines = io.StringIO("".join(serialize_json(message) + "\n" for message in messages))
        TargetDuckDB(config={"path": str(self.path), **config}).listen(lines)

    def query(self, sql="FROM things ORDER BY ALL"):
        with duckdb.connect(self.path) as connection:
            return connection.execute(sql).fetchall()

    def types(self, table="things"):
        return {name: kind for name, kind, *_ in self.query(f"DESCRIBE {table}")}


# Keys


def test_a_row_with_a_known_key_replaces_the_old_one(warehouse):
    head = schema({"id": INTEGER, "name": STRING})
    warehouse.load(head, record(id=1, name="old"), record(id=2, name="kept"))
    warehouse.load(head, record(id=1, name="new"), record(id=3, name="added"))
    assert warehouse.query() == [(1, "new"), (2, "kept"), (3, "added")]


def test_of_one_key_in_a_batch_the_last_row_wins(warehouse):
    rows = [record(id=number % 7, name=str(number)) for number in range(700)]
    warehouse.load(schema({"id": INTEGER, "name": STRING}), *rows)
    assert warehouse.query() == [(key, str(693 + key)) for key in range(7)]


def test_two_spellings_of_one_key_are_one_row(warehouse):
    head = schema({"at": {"type": "string", "format": "date-time"}, "name": STRING}, keys=["at"])
    warehouse.load(
        head,
        record(at="2024-01-02T03:00:00Z", name="old"),
        record(at="2024-01-02T05:00:00+02:00", name="new"),
    )
    assert warehouse.query("SELECT name FROM things") == [("new",)]


def test_all_of_a_compound_key_counts(warehouse):
    head = schema({"a": INTEGER, "b": STRING, "n": INTEGER}, keys=["a", "b"])
    warehouse.load(head, record(a=1, b="x", n=1), record(a=1, b="y", n=2), record(a=1, b="x", n=3))
    assert warehouse.query() == [(1, "x", 3), (1, "y", 2)]


def test_a_table_of_nothing_but_keys_is_loaded_twice_without_change(warehouse):
    for _ in range(2):
        warehouse.load(schema({"id": INTEGER}), record(id=1), record(id=2))
    assert warehouse.query() == [(1,), (2,)]


def test_without_keys_every_record_is_a_row(warehouse):
    for _ in range(2):
        warehouse.load(schema({"id": INTEGER}, keys=[]), record(id=1), record(id=1))
    assert warehouse.query() == [(1,)] * 4


def test_append_only_keeps_every_record_of_a_key(warehouse):
    head = schema({"id": INTEGER, "name": STRING})
    warehouse.load(head, record(id=1, name="a"), record(id=1, name="b"), load_method="append-only")
    assert warehouse.query() == [(1, "a"), (1, "b")]


def test_overwrite_drops_what_was_there_but_not_what_this_run_loaded(warehouse):
    warehouse.load(schema({"id": INTEGER, "gone": STRING}), record(id=1, gone="x"))
    warehouse.load(
        schema({"id": INTEGER}),
        record(id=2),
        schema({"id": INTEGER, "name": STRING}),
        record(id=3, name="new"),
        load_method="overwrite",
    )
    assert warehouse.types() == {"id": "BIGINT", "name": "VARCHAR"}
    assert warehouse.query() == [(2, None), (3, "new")]


def test_keys_are_not_null_and_a_row_without_one_is_refused(warehouse):
    head = schema({"id": INTEGER, "name": STRING})
    warehouse.load(head)
    assert warehouse.query('SELECT column_name, "null" FROM (DESCRIBE things)') == [
        ("id", "NO"),
        ("name", "YES"),
    ]
    with pytest.raises(LoadError, match=r"NOT NULL constraint failed: things\.id"):
        warehouse.load(head, record(id=1), record(id=None))
    assert warehouse.query() == []


def test_a_stream_may_change_its_key(warehouse):
    properties = {"id": INTEGER, "code": STRING}
    warehouse.load(schema(properties), record(id=1, code="a"), record(id=2, code="b"))
    warehouse.load(schema(properties, keys=["code"]), record(id=None, code="a"))
    assert warehouse.query() == [(2, "b"), (None, "a")]


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 20])
def test_no_row_is_lost_around_the_size_of_a_batch(warehouse, rows):
    records = [record(id=number) for number in range(rows)]
    warehouse.load(schema({"id": INTEGER}), *records, batch_size_rows=10)
    assert warehouse.query() == [(number,) for number in range(rows)]


def test_a_stream_without_records_makes_an_empty_table(warehouse):
    warehouse.load(schema({"id": INTEGER}))
    assert warehouse.query() == []


# Versions


def version(number):
    return {"type": "ACTIVATE_VERSION", "stream": "things", "version": number}


@pytest.mark.parametrize(("hard", "left"), [(True, [(2, None)]), (False, [(1, True), (2, None)])])
def test_activating_a_version_deletes_what_it_does_not_hold(warehouse, hard, left):
    config = {"add_record_metadata": True, "hard_delete": hard}
    head = schema({"id": INTEGER})
    one, two = 1_700_000_000_000, 1_700_000_000_001
    warehouse.load(head, record(id=1, version=one), record(id=2, version=one), **config)
    warehouse.load(head, record(id=2, version=two), version(two), **config)
    deleted = "CASE WHEN _sdc_deleted_at IS NOT NULL THEN true END"
    assert warehouse.query(f"SELECT id, {deleted} FROM things ORDER BY id") == left  # noqa: S608


# Changing schemas


def test_new_columns_are_added_and_missing_ones_keep_their_values(warehouse):
    warehouse.load(schema({"id": INTEGER, "old": STRING}), record(id=1, old="a"))
    warehouse.load(schema({"id": INTEGER, "new": STRING}), record(id=2, new="b"))
    assert warehouse.query() == [(1, "a", None), (2, None, "b")]
    warehouse.load(schema({"id": INTEGER, "new": STRING}), record(id=1, new="c"))
    assert warehouse.query() == [(1, "a", "c"), (2, None, "b")]


def test_rows_before_a_schema_change_do_not_replace_rows_after_it(warehouse):
    warehouse.load(
        schema({"id": INTEGER, "name": STRING}),
        record(id=1, name="older"),
        schema({"id": INTEGER, "name": STRING, "more": STRING}),
        record(id=1, name="newer", more="x"),
        record(id=2, name="other", more="y"),
        batch_size_rows=2,
    )
    assert warehouse.query() == [(1, "newer", "x"), (2, "other", "y")]


DATE = {"type": "string", "format": "date"}
DATETIME = {"type": "string", "format": "date-time"}
CENTS = {"type": "number", "multipleOf": 0.01}
BOOLEAN = {"type": "boolean"}


WIDENED = [
    (INTEGER, 1, NUMBER, 1.5, "DOUBLE", [1.0, 1.5]),
    (NUMBER, 1.5, INTEGER, 2, "DOUBLE", [1.5, 2.0]),
    (INTEGER, 1, STRING, "x", "VARCHAR", ["1", "x"]),
    (STRING, "x", INTEGER, 2, "VARCHAR", ["x", "2"]),
    (INTEGER, 7, CENTS, 1.25, "DECIMAL(38,2)", [Decimal("7.00"), Decimal("1.25")]),
    (BOOLEAN, True, INTEGER, 2, "VARCHAR", ["true", "2"]),
    (INTEGER, 2, {"type": "object"}, {"a": 1}, "VARCHAR", ["2", '{"a":1}']),
    (DATE, "2024-01-02", STRING, "?", "VARCHAR", ["2024-01-02", "?"]),
    (DATE, "2024-01-02", INTEGER, 5, "VARCHAR", ["2024-01-02", "5"]),
    (
        DATE,
        "2024-01-02",
        DATETIME,
        "2024-01-02T03:00:00Z",
        "TIMESTAMP WITH TIME ZONE",
        [dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC)],
    ),
]


def test_a_column_widens_to_hold_both_types(warehouse):
    columns = {f"c{number}": case for number, case in enumerate(WIDENED)}
    before = {name: case[0] for name, case in columns.items()}
    after = {name: case[2] for name, case in columns.items()}
    first = {name: case[1] for name, case in columns.items()}
    second = {name: case[3] for name, case in columns.items()}
    warehouse.load(schema({"id": INTEGER} | before), record(id=1, **first))
    warehouse.load(schema({"id": INTEGER} | after), record(id=2, **second))
    kinds = warehouse.types()
    held = dict(zip(kinds, zip(*warehouse.query(), strict=True), strict=True))
    assert {name: (kinds[name], list(held[name])) for name in columns} == {
        name: case[4:] for name, case in columns.items()
    }


def test_a_key_that_widens_still_finds_its_rows(warehouse):
    warehouse.load(schema({"id": INTEGER, "n": INTEGER}), record(id=1, n=1))
    warehouse.load(schema({"id": STRING, "n": INTEGER}), record(id="1", n=2), record(id="x", n=3))
    warehouse.load(schema({"id": INTEGER, "n": INTEGER}), record(id=1, n=4))
    assert warehouse.query() == [("1", 4), ("x", 3)]


# Types


COLUMN_TYPES = [
    (INTEGER, "BIGINT"),
    (NUMBER, "DOUBLE"),
    ({"type": "number", "multipleOf": 0.001}, "DECIMAL(38,3)"),
    ({"type": "number", "multipleOf": 1e-38}, "DOUBLE"),
    ({"type": "number", "multipleOf": 10}, "DECIMAL(38,0)"),
    ({"type": "string", "format": "singer.decimal"}, "DOUBLE"),
    (
        {"type": "string", "format": "x-singer.decimal", "precision": 12, "scale": 3},
        "DECIMAL(12,3)",
    ),
    (
        {"type": "string", "format": "singer.decimal", "precision": 50, "scale": 3},
        "DOUBLE",
    ),
    ({"type": "number", "x-sql-datatype": "NUMERIC(10, 2)"}, "DECIMAL(10,2)"),
    (BOOLEAN, "BOOLEAN"),
    (STRING, "VARCHAR"),
    ({"type": "string", "maxLength": 5}, "VARCHAR"),
    ({"type": "string", "format": "uuid"}, "VARCHAR"),
    ({"type": "string", "format": "email"}, "VARCHAR"),
    ({"type": ["null", "string"], "format": "date"}, "DATE"),
    ({"type": ["null", "string"], "format": "time"}, "TIME"),
    ({"anyOf": [DATETIME, {"type": "null"}]}, "TIMESTAMP WITH TIME ZONE"),
    ({"type": "object"}, "JSON"),
    ({"type": ["null", "array"]}, "JSON"),
    ({"type": ["integer", "string"]}, "VARCHAR"),
    ({}, "VARCHAR"),
]


def test_every_json_type_has_its_column_type(warehouse):
    columns = {f"c{number}": case for number, case in enumerate(COLUMN_TYPES)}
    warehouse.load(schema({name: definition for name, (definition, _) in columns.items()}, []))
    assert warehouse.types() == {name: kind for name, (_, kind) in columns.items()}


MOMENTS = {
    "2024-01-02T03:04:05Z": "2024-01-02T03:04:05+00:00",
    "2024-01-02T03:04:05+02:00": "2024-01-02T01:04:05+00:00",
    "2024-01-02T03:04:05.123456-08:00": "2024-01-02T11:04:05.123456+00:00",
    "2024-01-02T03:04:05.123456789Z": "2024-01-02T03:04:05.123456+00:00",
    "2024-01-02T03:04:05": "2024-01-02T03:04:05+00:00",
    "2024-01-02 03:04:05": "2024-01-02T03:04:05+00:00",
}


def test_a_moment_keeps_its_instant_and_is_utc_when_it_has_no_zone(warehouse):
    rows = [record(id=number, v=text) for number, text in enumerate(MOMENTS)]
    warehouse.load(schema({"id": INTEGER, "v": DATETIME}), *rows)
    assert warehouse.query("SELECT v FROM things ORDER BY id") == [
        (dt.datetime.fromisoformat(instant),) for instant in MOMENTS.values()
    ]


def test_a_decimal_does_not_pass_through_a_float(warehouse, tmp_path):
    numbers = [Decimal("12345678901234567890.123456789"), Decimal("1E-9"), 7, None]
    head = {"id": INTEGER, "v": {"type": ["null", "number"], "multipleOf": 1e-9}}
    rows = [{"id": number, "v": value} for number, value in enumerate(numbers)]
    file = tmp_path / "batch.jsonl"
    file.write_text("".join(serialize_json(row) + "\n" for row in rows))
    warehouse.load(schema(head), *[record(**row) for row in rows])
    warehouse.load(schema(head, stream="batched"), batch(file, stream="batched"))
    assert warehouse.query("SELECT v FROM things ORDER BY id") == [(value,) for value in numbers]
    assert warehouse.query("SELECT v FROM batched ORDER BY id") == [(value,) for value in numbers]


def test_a_string_longer_than_duckdb_expects_of_a_line_is_loaded_whole(warehouse):
    text = "x" * 40_000_000
    warehouse.load(schema({"id": INTEGER, "v": STRING}), record(id=1, v=text), record(id=2, v=""))
    assert warehouse.query("SELECT length(v) FROM things ORDER BY id") == [(len(text),), (0,)]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ZONES = st.none() | st.integers(-840, 840).map(
    lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))
)
COLUMNS = {
    "i": ({"type": ["null", "integer"]}, st.integers(-(2**63), 2**63 - 1)),
    "f": ({"type": ["null", "number"]}, st.floats(allow_nan=False, allow_infinity=False)),
    "n": (
        {"type": ["null", "number"], "multipleOf": 0.0001},
        st.decimals(-(10**14), 10**14, places=4),
    ),
    "t": ({"type": ["null", "string"]}, st.text()),
    "b": ({"type": ["null", "boolean"]}, st.booleans()),
    "d": ({"type": ["null", "string"], "format": "date"}, st.dates()),
    "c": ({"type": ["null", "string"], "format": "time"}, st.times()),
    "z": (
        {"type": ["null", "string"], "format": "date-time"},
        st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2400, 1, 1), timezones=ZONES),  # noqa: DTZ001
    ),
    "o": (
        {"type": ["null", "object"]},
        st.dictionaries(st.text(), JSON_VALUES, max_size=3),
    ),
    "a": ({"type": ["null", "array"]}, st.lists(JSON_VALUES, max_size=3)),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()}),
    min_size=1,
    max_size=8,
)


def expected(row):
    moment = row["z"]
    return row if moment is None or moment.tzinfo else {**row, "z": moment.replace(tzinfo=dt.UTC)}


def parsed(row):
    documents = {name: json.loads(row[name]) for name in ("o", "a") if row[name] is not None}
    return {**row, **documents}


@settings(max_examples=20, deadline=None)
@given(rows=ROWS)
def test_any_rows_come_out_as_they_went_in_by_record_and_by_batch(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    rows = [{"id": number, **row} for number, row in enumerate(rows)]
    properties = {"id": INTEGER} | {name: definition for name, (definition, _) in COLUMNS.items()}
    # Without its one DECIMAL of numbers, a batch file goes to DuckDB as it is.
    direct = {name: definition for name, definition in properties.items() if name != "n"}
    file = folder / "batch.jsonl"
    file.write_text("".join(serialize_json(row) + "\n" for row in rows))
    warehouse.load(
        schema(properties),
        *[record(**row) for row in rows],
        schema(direct, stream="direct"),
        batch(file, stream="direct"),
    )
    for table, names in (("things", properties), ("direct", direct)):
        loaded = warehouse.query(f"FROM {table} ORDER BY id")
        assert [parsed(dict(zip(names, row, strict=True))) for row in loaded] == [
            {name: value for name, value in expected(row).items() if name in names} for row in rows
        ]


# Names


NAMES = [
    "select",
    "CamelCase",
    "with space",
    'quo"te',
    "apo'strophe",
    "colon:name",
    "%percent",
    "$1",
    "naïve",
    "日本",
    "batch",
    "loaded",
    "rowid",
    "dotted.name",
    "1st",
]


def test_columns_keep_their_names_whatever_they_are(warehouse):
    keys = {"select": "key", 'quo"te': "key"}
    head = schema(dict.fromkeys(NAMES, STRING), keys)
    for salt in ("old ", "new "):
        warehouse.load(head, record(**{name: salt + name for name in NAMES} | keys))
    assert list(warehouse.types()) == NAMES
    row = dict(zip(NAMES, warehouse.query()[0], strict=True))
    assert row == {name: "new " + name for name in NAMES} | keys


def test_properties_that_differ_only_in_case_are_refused(warehouse):
    with pytest.raises(ConformedNameClashException, match=r"\['id', 'ID'\]"):
        warehouse.load(schema({"id": INTEGER, "ID": STRING}))


def test_a_column_is_found_in_any_case(warehouse):
    warehouse.load(schema({"id": INTEGER, "Name": STRING}), record(id=1, Name="a"))
    warehouse.load(schema({"ID": INTEGER, "name": STRING}, keys=["ID"]), record(ID=1, name="b"))
    assert warehouse.types() == {"id": "BIGINT", "Name": "VARCHAR"}
    assert warehouse.query() == [(1, "b")]


@pytest.mark.parametrize(
    ("stream", "config", "table"),
    [
        ("things", {}, "main.things"),
        ("shop-Things", {}, "shop.Things"),
        ("db-shop-things", {}, "shop.things"),
        ("shop-things", {"default_target_schema": "raw"}, "raw.things"),
        ("order", {"default_target_schema": "select"}, "select.order"),
        ("we.ird na'me", {}, "main.we.ird na'me"),
        ("things", {"default_target_schema": "warehouse"}, "warehouse.things"),
    ],
)
def test_the_stream_and_the_settings_name_the_table(warehouse, stream, config, table):
    head = schema({"id": INTEGER}, stream=stream)
    for _ in range(2):
        warehouse.load(head, record(stream, id=1), **config)
    tables = warehouse.query(
        "SELECT schema_name || '.' || table_name, estimated_size FROM duckdb_tables()"
    )
    assert tables == [(table, 1)]


def test_a_path_may_have_any_characters_and_folders_that_are_not_there(tmp_path):
    warehouse = Warehouse(tmp_path / "not there" / "50%?#[a]*é.duckdb")
    warehouse.load(schema({"id": INTEGER}), record(id=1))
    assert warehouse.query() == [(1,)]
    assert [file.name for file in warehouse.path.parent.iterdir()] == [warehouse.path.name]


def test_the_temporary_file_is_gone_and_was_private(warehouse, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch [x]*"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    modes = []
    monkeypatch.setattr(
        "target_duckdb.sinks.compression",
        lambda path: modes.append(path.stat().st_mode & 0o777) or "uncompressed",
    )
    warehouse.load(schema({"id": INTEGER}), record(id=1))
    assert warehouse.query() == [(1,)]
    assert modes == [0o600]
    assert list(scratch.iterdir()) == []
