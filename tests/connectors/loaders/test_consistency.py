"""After each load the warehouse has what the source has: no row lost or twice, all values the same.

Three loads of many streams, each by records and by batch files: the first, the same again, and the
changes. Records are checked against their schema in the first alone, for the quick way without.
"""

import secrets

import pytest

from tests.support.loads import Load, assert_same, load
from tests.support.singer_source import BATCH, Stream, may_be_null, person, state

SIZES = (0, 1, BATCH - 1, BATCH, BATCH + 1)
PEOPLE = [person(number) for number in range(2 * BATCH + 5)]
SHORT = {"id": {"type": "integer"}, "code": may_be_null("string", maxLength=5)}
LONG = {**SHORT, "code": may_be_null("string", maxLength=50)}
GROWN = {**SHORT, "extra": may_be_null("string")}
CODES = [{"id": number, "code": f"c{number}"} for number in range(BATCH + 1)]

FIRST = [
    Stream("people", rows=PEOPLE),
    *(Stream(f"codes_{size}", SHORT, CODES[:size]) for size in SIZES),
    Stream("grown", SHORT, CODES),
    Stream("widened", SHORT, CODES),
    Stream("visits", SHORT, CODES, keys=()),
    Stream("twice", rows=[*PEOPLE[:3], person(1, name="later"), person(1, name="last")]),
]
UPDATED = [person(number, name="new 🎉", amount=None) for number in (0, 7, 24)]
ADDED = [person(number) for number in range(100, 103)]
CHANGED = [
    Stream("people", rows=UPDATED + ADDED),
    Stream(
        "grown",
        GROWN,
        [{"id": 3, "code": None, "extra": "é"}, {"id": 40, "code": "c", "extra": None}],
    ),
    Stream("widened", LONG, [{"id": 3, "code": "longer than it was 李"}]),
]
STREAMS = {each.name: each for each in FIRST}


class History:
    """The three loads, and what was there after each."""

    def __init__(self, destination, folder, path):
        schema = f"{path}_{secrets.token_hex(4)}"
        self.states, self.after = [], []
        for number, streams in enumerate((FIRST, FIRST, CHANGED), start=1):
            batches = folder / f"{schema}-{number}"
            batches.mkdir()
            messages = [
                message
                for stream in streams
                for message in stream.messages(batches if path == "batches" else None)
            ]
            messages.append(state(number))
            checked = {"validate_records": number == 1}
            self.states.append(load(destination, folder / "configs", schema, messages, **checked))
            self.after.append({each.name: destination.rows(schema, each) for each in FIRST})

    def assert_has(self, stream, rows, *, after):
        assert_same(stream, self.after[after - 1][stream.name], rows)


@pytest.fixture(scope="module", params=["records", "batches"])
def history(request, destination, folder):
    return History(destination, folder, request.param)


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in ("visits", "twice")])
@pytest.mark.parametrize("after", [1, 2], ids=["the first load", "the same again"])
def test_all_rows_are_there_once_after(after, name, history):
    history.assert_has(STREAMS[name], STREAMS[name].rows, after=after)


def test_rows_without_a_key_are_there_once_for_each_load(history):
    history.assert_has(STREAMS["visits"], CODES, after=1)
    history.assert_has(STREAMS["visits"], CODES * 2, after=2)


def test_of_several_rows_with_one_key_the_last_counts(history):
    rows = [PEOPLE[0], person(1, name="last"), PEOPLE[2]]
    history.assert_has(STREAMS["twice"], rows, after=1)


def test_changed_rows_are_replaced_and_new_ones_added(history):
    rows = {row["id"]: row for row in [*PEOPLE, *UPDATED, *ADDED]}
    history.assert_has(STREAMS["people"], list(rows.values()), after=3)


@pytest.mark.parametrize("stream", CHANGED[1:], ids=lambda stream: stream.name)
def test_a_column_that_is_new_or_longer_leaves_the_other_rows_as_they_were(stream, history):
    rows = {row["id"]: row for row in [*CODES, *stream.rows]}
    history.assert_has(stream, list(rows.values()), after=3)


def test_streams_that_were_not_extracted_are_left_alone(history):
    history.assert_has(STREAMS["codes_11"], CODES, after=3)


def test_each_load_ends_with_its_state(history):
    assert history.states == [[1], [2], [3]]


WHOLE = {"id": {"type": "integer"}, "size": may_be_null("integer")}
SIZED = Stream("sizes", WHOLE, [{"id": 1, "size": 2**53 - 1}, {"id": 2, "size": None}])
BROKEN = Stream("sizes", {**WHOLE, "size": may_be_null("number")}, [{"id": 3, "size": 0.125}])


def test_duckdb_holds_whole_numbers_and_fractions_in_one_column(duckdb_file, folder, schema):
    for stream in (SIZED, BROKEN):
        load(duckdb_file, folder / "configs", schema, [*stream.messages(), state(1)])
    assert_same(BROKEN, duckdb_file.rows(schema, BROKEN), [*SIZED.rows, *BROKEN.rows])


def test_postgres_refuses_a_fraction_among_whole_numbers(postgres_server, folder, schema):
    load(postgres_server, folder / "configs", schema, SIZED.messages())
    running = Load(postgres_server, folder / "configs", schema)
    running.send([*BROKEN.messages(), state(1)])
    code, states = running.end()
    assert (code, states) == (1, [])
    assert 'invalid input syntax for type bigint: "0.125"' in running.errors.read_text()
    assert_same(SIZED, postgres_server.rows(schema, SIZED), SIZED.rows)
