import json
from datetime import UTC, datetime, timedelta

import pytest

from dag_factory.meltano_process.result import MAX_BYTES, RunSummary, newest_bookmarks

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
FULL = RunSummary(1, "tap-a: Überlast: 日本", {"a": 1, "b": 2}, counted=True, newest={"a": NOON})


@pytest.mark.parametrize(
    "summary", [RunSummary(0), RunSummary(-15), FULL, RunSummary(0, rows={}, counted=True)]
)
def test_what_is_written_is_read_again(summary):
    assert RunSummary.from_json(summary.to_json().decode()) == summary


def test_text_is_written_as_it_is():
    assert "Überlast: 日本".encode() in FULL.to_json()


def test_a_thousand_streams_fit_the_largest_and_the_newest_stay():
    rows = {f"ström_{number:04}": number for number in range(1000)}
    newest = {name: NOON + timedelta(hours=number % 7) for name, number in rows.items()}
    newest["ström_0003"] = NOON + timedelta(days=1)
    summary = RunSummary(1, "Fehler: länger als 2048 Zeichen " * 99, rows, True, newest=newest)

    written = summary.to_json()
    assert len(written) <= MAX_BYTES
    found = RunSummary.from_json(written.decode())
    assert found.is_part
    assert summary.error.startswith(found.error)
    assert len(found.error) >= 500
    assert max(found.newest.values()) == newest["ström_0003"]
    kept = sorted(set(found.rows) - {"ström_0003"})
    assert kept == sorted(rows)[-len(kept) :]
    assert len(kept) > 10
    assert sum(found.rows.values()) + found.left_out == sum(rows.values())
    assert [*map(found.knows, ["ström_0003", kept[0], "ström_0000"])] == [True, True, False]


def test_what_fits_is_whole():
    rows = {f"s{number}": number for number in range(100)}
    found = RunSummary.from_json(RunSummary(0, rows=rows, counted=True).to_json().decode())
    assert (found.rows, found.is_part, found.left_out) == (rows, False, 0)
    assert found.knows("a stream that there is not")


@pytest.mark.parametrize("letter", ["x", "é", "日", "🚀", "\x01", '"', "\ud800"])
def test_the_longest_error_fits_whatever_it_is_written_in(letter):
    rows = {letter * 5000: 1, "s": 2}
    written = RunSummary(1, letter * 5000, rows, True, newest={letter * 5000: NOON}).to_json()
    assert len(written) <= MAX_BYTES
    found = RunSummary.from_json(written.decode())
    assert found.error == letter * len(found.error)
    assert found.is_part


def test_where_nobody_counted_that_is_kept_apart_from_no_rows():
    newest = {f"s{number}": NOON for number in range(1000)}
    found = RunSummary.from_json(RunSummary(0, counted=True, newest=newest).to_json().decode())
    assert (found.rows, found.is_part) == (None, True)
    assert found.newest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "failed to create containerd task: exec: no such file",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"exit_code": 0}',
        '{"exit_code": 0, "newest": {"a": "yesterday"}}',
        '{"exit_code": 0, "newest": {',
    ],
)
def test_what_is_no_summary_is_none(text):
    assert RunSummary.from_json(text) is None


def test_of_a_later_version_what_is_known_is_read():
    text = '{"exit_code": 3, "newest": {}, "of a later version": 1}'
    assert RunSummary.from_json(text) == RunSummary(3)


def state(**bookmarks):
    return {"singer_state": {"bookmarks": bookmarks}}


@pytest.mark.parametrize(
    ("bookmark", "newest"),
    [
        ({"replication_key": "at", "replication_key_value": "2026-11-02T12:00:00Z"}, NOON),
        ({"at": "2026-11-02T13:00:00+01:00", "id": 7}, NOON),
        ({"at": "2026-11-02T12:00:00"}, NOON),
        ({"at": "2026-11-02 12:00:00.000000+00:00"}, NOON),
        ({"day": "2026-11-02"}, NOON.replace(hour=0)),
        (
            {
                "partitions": [
                    {"context": {"shop": "eu"}, "replication_key_value": "2026-11-02T12:00:00Z"},
                    {"context": {"shop": "us"}, "replication_key_value": "2026-11-01T12:00:00Z"},
                ]
            },
            NOON,
        ),
        ("2026-11-02T12:00:00Z", NOON),
        ({"replication_key_value": 1700000000}, None),
        ({"replication_key_value": "abc"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_newest_bookmark_of_a_stream_is_its_latest_moment(bookmark, newest):
    assert newest_bookmarks(state(s=bookmark)) == ({"s": newest} if newest else {})


@pytest.mark.parametrize("other", [{}, {"singer_state": {}}, {"singer_state": None}, [], None, 5])
def test_state_without_bookmarks_has_none(other):
    assert newest_bookmarks(other) == {}
    assert newest_bookmarks(json.loads('{"singer_state": {"bookmarks": null}}')) == {}
