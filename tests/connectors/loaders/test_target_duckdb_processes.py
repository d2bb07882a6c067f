"""The target as a process: one writer at a time, nothing lost, state only for what is there."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import duckdb
import pytest

PATIENCE = 60


def schema(stream="things"):
    properties = {"id": {"type": ["null", "integer"]}, "name": {"type": ["null", "string"]}}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"properties": properties},
        "key_properties": ["id"],
    }


def record(stream="things", **values):
    return {"type": "RECORD", "stream": stream, "record": values}


def state(value):
    return {"type": "STATE", "value": {"bookmark": value}}


class Target:
    """A running target-duckdb."""

    def __init__(self, folder, **config):
        file = folder / f"config{len(list(folder.iterdir()))}.json"
        config = {"path": str(folder / "warehouse.duckdb"), **config}
        file.write_text(
            json.dumps({name: value for name, value in config.items() if value is not None})
        )
        command = [sys.executable, "-m", "target_duckdb", "--config", str(file)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def send(self, *messages):
        # It may have ended already, over its settings.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
            self.process.stdin.flush()

    def finish(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def until_it_says(self, words):
        for line in self.process.stderr:
            if words in line:
                return line
        raise AssertionError(f"the target ended without saying {words!r}")


@pytest.fixture
def target(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(**config):
            running = Target(tmp_path, **config)
            stack.callback(running.process.communicate)
            stack.callback(running.process.kill)
            return running

        yield start


def read(folder, sql):
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def wait_until_read(folder, sql, wanted):
    """Read as a dashboard would, while the target is running."""
    deadline = time.monotonic() + PATIENCE
    seen = None
    while time.monotonic() < deadline:
        with contextlib.suppress(duckdb.IOException, duckdb.CatalogException):
            seen = read(folder, sql)
            if seen == wanted:
                return
        time.sleep(0.05)
    raise AssertionError(f"saw {seen}, not {wanted}")


@pytest.fixture
def other_process(tmp_path):
    """A process that has the file open until its standard input is closed."""
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path / "warehouse.duckdb")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_it_waits_for_the_process_that_has_the_file_and_names_it(target, tmp_path, other_process):
    waiting = target()
    waiting.send(schema(), record(id=1), state(1))
    line = waiting.until_it_says("Waiting")
    assert str(tmp_path / "warehouse.duckdb") in line
    assert f"(PID {other_process.pid})" in line
    other_process.communicate("\n")
    code, out, _ = waiting.finish()
    assert (code, out) == (0, '{"bookmark": 1}\n')
    assert read(tmp_path, "SELECT id FROM things") == [(1,)]


def test_it_says_once_that_it_waits_and_in_one_line_that_it_has_waited_enough(
    target, tmp_path, other_process
):
    waiting = target(lock_timeout=1)
    waiting.send(schema(), record(id=1), state(1))
    code, out, err = waiting.finish()
    last = err.splitlines()[-1]
    assert err.count("Waiting up to 1 s") == 1
    assert (code, out) == (1, "")
    assert last.startswith(f"Error: {tmp_path / 'warehouse.duckdb'} is still locked after 1 s, by ")
    assert f"(PID {other_process.pid}); end that process, or raise lock_timeout" in last
    assert "Traceback" not in err


def test_others_read_and_write_while_it_waits_for_more_records(target, tmp_path):
    slow = target(batch_size_rows=1)
    slow.send(schema(), record(id=1), state(1))
    wait_until_read(tmp_path, "SELECT id FROM things", [(1,)])
    with duckdb.connect(tmp_path / "warehouse.duckdb") as writer:
        writer.execute("CREATE TABLE mine AS SELECT 1 AS id")
    assert slow.process.poll() is None
    slow.send(record(id=2), state(2))
    code, out, _ = slow.finish()
    assert (code, out) == (0, '{"bookmark": 2}\n')
    assert read(tmp_path, "SELECT id FROM things ORDER BY id") == [(1,), (2,)]
    assert read(tmp_path, "FROM mine") == [(1,)]


def test_five_at_a_time_lose_no_row_of_their_own_or_of_a_shared_table(target, tmp_path):
    rows = 60
    running = [target(batch_size_rows=20) for _ in range(5)]
    for number, each in enumerate(running):
        own = f"own_{number}"
        shared = [record("shared", id=number * rows + row) for row in range(rows)]
        each.send(schema(own), schema("shared"), *shared)
        each.send(*[record(own, id=row) for row in range(rows)], state(number))
    ends = [each.finish() for each in running]
    assert [(code, out) for code, out, _ in ends] == [
        (0, f'{{"bookmark": {number}}}\n') for number in range(5)
    ]
    assert read(tmp_path, "SELECT count(*), count(DISTINCT id), max(id) FROM shared") == [
        (5 * rows, 5 * rows, 5 * rows - 1)
    ]
    for number in range(5):
        assert read(tmp_path, f"SELECT count(*) FROM own_{number}") == [(rows,)]  # noqa: S608


def test_killed_it_leaves_whole_batches_and_no_state_and_the_next_run_completes_them(
    target, tmp_path
):
    messages = [schema(), *[record(id=row) for row in range(15)], state(15)]
    killed = target(batch_size_rows=10)
    killed.send(*messages)
    wait_until_read(tmp_path, "SELECT count(*) FROM things", [(10,)])
    os.kill(killed.process.pid, signal.SIGKILL)
    code, out, _ = killed.finish()
    assert (code, out) == (-signal.SIGKILL, "")
    assert read(tmp_path, "SELECT count(*) FROM things") == [(10,)]
    again = target(batch_size_rows=10)
    again.send(*messages)
    code, out, _ = again.finish()
    assert (code, out) == (0, '{"bookmark": 15}\n')
    assert read(tmp_path, "SELECT count(*), count(DISTINCT id) FROM things") == [(15, 15)]


def test_a_batch_that_fails_is_undone_and_no_state_is_written(target, tmp_path):
    failing = target(batch_size_rows=2, validate_records=False)
    good = [record(id=1), record(id=2)]
    failing.send(schema(), *good, state(2), record(id=3), record(id="three"), state(3))
    code, out, err = failing.finish()
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Error: warehouse.main.things: ")
    assert '"three"' in err.splitlines()[-1]
    assert read(tmp_path, "SELECT id FROM things ORDER BY id") == [(1,), (2,)]


def test_told_to_terminate_it_stops_at_once_without_state(target, tmp_path):
    told = target(batch_size_rows=2)
    told.send(schema(), record(id=1), record(id=2), record(id=3), state(3))
    wait_until_read(tmp_path, "SELECT count(*) FROM things", [(2,)])
    told.process.terminate()
    code, out, _ = told.finish()
    assert (code, out) == (128 + signal.SIGTERM, "")
    assert read(tmp_path, "SELECT count(*) FROM things") == [(2,)]


def test_told_to_terminate_while_it_waits_for_the_file_it_stops_at_once(target, other_process):
    waiting = target()
    waiting.send(schema(), record(id=1), state(1))
    waiting.until_it_says("Waiting")
    waiting.process.terminate()
    code, out, _ = waiting.finish()
    assert (code, out) == (128 + signal.SIGTERM, "")
    assert other_process.poll() is None


def test_the_time_zone_of_the_machine_does_not_matter(target, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    elsewhere = target()
    as_date, as_moment, as_text = schema(), schema(), schema()
    as_date["schema"]["properties"]["name"] = {"type": "string", "format": "date"}
    as_moment["schema"]["properties"]["name"] = {"type": "string", "format": "date-time"}
    elsewhere.send(as_date, record(id=1, name="2024-01-02"))
    elsewhere.send(as_moment, record(id=2, name="2024-01-02T03:00:00"))
    elsewhere.send(as_text)
    assert elsewhere.finish()[0] == 0
    assert read(tmp_path, "SELECT name FROM things ORDER BY id") == [
        ("2024-01-02 00:00:00+00",),
        ("2024-01-02 03:00:00+00",),
    ]


def test_what_is_wrong_with_the_path_is_said_in_one_line(target, tmp_path):
    not_duckdb = tmp_path / "warehouse.duckdb"
    not_duckdb.write_text("SQLite format 3" * 1000)
    wrong = {
        "not a valid DuckDB database file": target(path=str(not_duckdb)),
        "File exists": target(path=str(not_duckdb / "below.duckdb")),
        "'path' is a required property": target(path=None),
    }
    for says, running in wrong.items():
        running.send(schema(), record(id=1), state(1))
        code, out, err = running.finish()
        assert (code, out) == (1, "")
        assert says in err
        assert "Traceback" not in err
