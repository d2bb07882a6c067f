"""Rows that the source no longer has: they go where the tap says which version is whole."""

from tests.support.loads import assert_same, load
from tests.support.singer_source import Stream, person, state

FIRST = Stream("people", rows=[person(number) for number in range(5)], version=1_700_000_000_000)
LATER = Stream("people", rows=FIRST.rows[:3], version=1_700_000_000_001)
VERSIONS = {"add_record_metadata": True, "activate_version": True}


def load_both(destination, folder, schema, **config):
    for stream in (FIRST, LATER):
        messages = [*stream.messages(), state(stream.version)]
        load(destination, folder / "configs", schema, messages, **VERSIONS, **config)


def test_a_row_that_is_gone_is_deleted(destination, folder, schema):
    load_both(destination, folder, schema, hard_delete=True)
    assert_same(LATER, destination.rows(schema, LATER), LATER.rows)


def test_a_row_that_is_gone_is_marked(destination, folder, schema):
    load_both(destination, folder, schema, hard_delete=False)
    rows = destination.rows(schema, LATER)
    assert_same(LATER, rows, FIRST.rows)
    assert {row["id"] for row in rows if row["_sdc_deleted_at"]} == {3, 4}
