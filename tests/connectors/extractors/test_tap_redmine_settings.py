"""tap-redmine before it asks Redmine: settings, catalog, and nobody to ask."""

from __future__ import annotations

import json
import socket

import pytest
from singer_sdk.exceptions import ConfigValidationError
from tap_redmine.tap import TapRedmine

NOWHERE = {"api_url": "http://nowhere.invalid", "api_key": "k"}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"api_url": "redmine.example.com"},
            "api_url must be like https://redmine.example.com, without user or query",
        ),
        (
            {"api_url": "http://me:pw@redmine"},
            "api_url must be like https://redmine.example.com, without user or query",
        ),
        (
            {"api_key": "the-key\n"},
            "api_key must be the key alone, without spaces or line breaks",
        ),
        (
            {"start_date": "last week"},
            "start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z",
        ),
        ({"page_size": 500}, "500 is greater than the maximum of 100 in config['page_size']"),
        ({"api_key": 4711}, "*** is not of type 'string' in config['api_key']"),
    ],
)
def test_a_bad_setting_is_one_clear_line(settings, line):
    with pytest.raises(ConfigValidationError) as error:
        TapRedmine(config={**NOWHERE, **settings})
    assert error.value.errors == [line]


def test_the_key_is_required():
    with pytest.raises(ConfigValidationError) as error:
        TapRedmine(config={"api_url": "http://nowhere.invalid"})
    assert error.value.errors == ["'api_key' is a required property"]


@pytest.mark.parametrize("suffix", ["", "/", "/redmine", "/redmine/"])
def test_api_url_may_end_in_a_slash_and_have_a_prefix(suffix):
    tap = TapRedmine(config={**NOWHERE, "api_url": f"http://a{suffix}"})
    assert tap.streams["issues"].get_url(None) == f"http://a{suffix.rstrip('/')}/issues.json"


def test_discovery_needs_no_server():
    streams = TapRedmine(config=NOWHERE).catalog_dict["streams"]
    assert {each["tap_stream_id"]: each["replication_method"] for each in streams} == {
        "projects": "FULL_TABLE",
        "users": "FULL_TABLE",
        "issues": "INCREMENTAL",
        "journals": "INCREMENTAL",
        "time_entries": "FULL_TABLE",
        "trackers": "FULL_TABLE",
        "issue_statuses": "FULL_TABLE",
        "issue_priorities": "FULL_TABLE",
        "time_entry_activities": "FULL_TABLE",
    }
    assert all(list(each["key_properties"]) == ["id"] for each in streams)


def test_every_column_has_a_description_and_the_schema_is_computed_once():
    for stream in TapRedmine(config=NOWHERE).streams.values():
        assert stream.schema is type(stream).schema
        assert all(column["description"] for column in stream.schema["properties"].values())


def test_nobody_listening_ends_in_one_line(tmp_path, caplog, monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        settings = tmp_path / "config.json"
        settings.write_text(json.dumps({"api_url": url, "api_key": "the-key"}))
        with pytest.raises(SystemExit) as stop:
            TapRedmine.cli.main(["--config", str(settings)])
    assert stop.value.code == 1
    line = caplog.records[-1].getMessage()
    assert line.startswith(f"cannot read {url}/users/current.json: ")
    assert "Connection refused; is api_url correct?" in line
    assert len(waited) == 4
    assert "the-key" not in caplog.text
