"""What Snowflake refuses ends the load: no row, no state, no wait; the next load has all."""

import pytest

from tests.support.loads import Load, assert_same, load
from tests.support.singer_source import BATCH, Stream, person, state

pytestmark = pytest.mark.faults
PEOPLE = Stream("people", rows=[person(number) for number in range(BATCH + 2)])
VISITS = Stream("visits", rows=PEOPLE.rows, keys=())


@pytest.mark.parametrize(
    ("stream", "statement"),
    [(PEOPLE, "^merge "), (VISITS, "^copy ")],
    ids=["MERGE", "COPY"],
)
def test_a_statement_that_fails(stream, statement, emulator, folder, schema):
    messages = [*stream.messages(), state(1)]
    emulator.fail_next(statement)
    running = Load(emulator, folder / "configs", schema)
    running.send(messages)
    code, states = running.end()
    assert (code, states) == (1, [])
    assert emulator.rows(schema, stream) == []
    assert "SQL execution canceled" in running.errors.read_text()

    load(emulator, folder / "configs", schema, messages)
    assert_same(stream, emulator.rows(schema, stream), stream.rows)
