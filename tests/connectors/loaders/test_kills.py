"""A load that dies, and the next: state is never ahead of the rows, and in the end all are there.

A tap that is killed is for its loader an input that ends, perhaps within a line. What Meltano does
with both is in test_meltano_run.py.
"""

import contextlib

import pytest

from tests.support.destinations import PATIENCE
from tests.support.loads import Load, assert_same, load
from tests.support.running import wait_until
from tests.support.singer_source import BATCH, Stream, person, state

pytestmark = pytest.mark.faults
PEOPLE = Stream("people", rows=[person(number) for number in range(3 * BATCH + 5)])
FIRST = BATCH - 3
"""The rows before the first STATE: no whole batch, so that some wait to be loaded."""
FREQUENT = {"environ": {"LOADER_CHECKPOINTS": "1"}}


class Loads:
    """Loads of one stream into one schema."""

    def __init__(self, destination, folder, schema, path):
        self.destination, self.folder, self.schema, self.path = destination, folder, schema, path
        self.running = contextlib.ExitStack()

    def start(self, **changes):
        load = Load(self.destination, self.folder / "configs", self.schema, **changes)
        return self.running.enter_context(contextlib.closing(load))

    def messages(self, first, last):
        """Return what a tap says of the rows in between, with a STATE after the last of them."""
        part = Stream(PEOPLE.name, rows=PEOPLE.rows[first:last])
        batches = self.folder / f"{self.schema}-{first}" if self.path == "batches" else None
        if batches:
            batches.mkdir(exist_ok=True)
        _, *rows = part.messages(batches)
        return [*rows, state(last - 1)]

    def there(self):
        return {row["id"] for row in self.destination.rows(self.schema, PEOPLE)}

    def assert_state_is_not_ahead(self, states):
        """What a bookmark covers is there, whatever else is."""
        covered = states[-1] + 1 if states else 0
        assert {*range(covered)} <= self.there()
        return covered

    def finish(self, first):
        """Load again as a tap would from this row on, and compare."""
        messages = [PEOPLE.schema(), *self.messages(first, len(PEOPLE.rows))]
        states = load(self.destination, self.folder / "configs", self.schema, messages)
        assert states == [len(PEOPLE.rows) - 1]
        found = self.destination.rows(self.schema, PEOPLE)
        assert_same(PEOPLE, found, PEOPLE.rows)


@pytest.fixture
def path():
    return "records"


@pytest.fixture
def loads(destination, folder, schema, path):
    loads = Loads(destination, folder, schema, path)
    with loads.running:
        yield loads


def kill_the_tap(running):
    running.send_text('{"type": "RECORD", "stream": "people", "rec')
    return running.end()


def kill_the_target(running):
    running.process.kill()
    return running.end()


@pytest.mark.parametrize("kill", [kill_the_tap, kill_the_target])
def test_killed_before_the_first_checkpoint(kill, loads):
    running = loads.start()
    rows = loads.messages(0, 2 * BATCH)
    running.send([PEOPLE.schema(), *rows[:-1]])
    wait_until(lambda: len(loads.there()) >= BATCH, PATIENCE, "the first batch")
    code, states = kill(running)
    assert code != 0
    assert states == []
    loads.finish(0)


@pytest.mark.parametrize(
    ("kill", "path"),
    [(kill_the_tap, "records"), (kill_the_target, "records"), (kill_the_target, "batches")],
)
def test_killed_after_the_first_checkpoint(kill, loads):
    running = loads.start(**FREQUENT)
    running.send([PEOPLE.schema(), *loads.messages(0, FIRST)])
    first = running.state()
    running.send(loads.messages(FIRST, 2 * BATCH)[:-1])
    code, states = kill(running)
    assert code != 0
    assert first == FIRST - 1
    loads.finish(loads.assert_state_is_not_ahead([first, *states]))
