"""tap-redmine against a real Redmine."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_redmine.issues import IssuesStream
from tap_redmine.paging import OffsetPaging
from tap_redmine.tap import TapRedmine

from tests.connectors.servers.redmine_source import Redmine
from tests.support.redmine_syncs import FaultyProxy, Warehouse, faulty_proxy

SUITE = SuiteConfig(max_records_limit=None)
StandardTests = get_tap_test_class(
    TapRedmine,
    config={"api_url": "http://placeholder.invalid", "api_key": "none"},
    suite_config=SUITE,
    parse_env_config=False,
)


# Columns that are null in every row, such as those of categories and versions.
@pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")
class TestStandard(StandardTests):
    """The SDK's own tests, which want their settings before Redmine runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, redmine):
        config = {"api_url": redmine.url, "api_key": redmine.key}
        runner = TapTestRunner(TapRedmine, config=config, suite_config=SUITE)
        runner.sync_all()
        return runner


@pytest.fixture
def config(redmine: Redmine) -> dict:
    """The settings, when all that other tests did is years ago."""
    redmine.age()
    return {"api_url": redmine.url, "api_key": redmine.key}


@pytest.fixture
def proxy(redmine: Redmine) -> Iterator[FaultyProxy]:
    with faulty_proxy(redmine.url) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(config: dict, proxy: FaultyProxy) -> dict:
    return {**config, "api_url": proxy.url}


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Do not wait between tries; tell how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    return waited


@pytest.fixture
def between_pages(monkeypatch) -> Callable[..., list]:
    """Do the next of some things after each page that was read."""
    take = OffsetPaging.take

    def plan(*actions: Callable[[], object]) -> list:
        left = list(actions)

        def take_and_act(self: OffsetPaging, page: list, limit: int | None) -> list:
            rows = take(self, page, limit)
            if left:
                left.pop(0)()
            return rows

        monkeypatch.setattr(OffsetPaging, "take", take_and_act)
        return left

    return plan


def all_ids(redmine: Redmine, table: str) -> list[int]:
    return [row[0] for row in redmine.sql(f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608


# What is read


def test_a_first_sync_reads_all(redmine, config):
    warehouse = Warehouse(config).sync()
    for stream in ("projects", "issues", "journals", "time_entries", "trackers", "issue_statuses"):
        assert warehouse.ids(stream) == all_ids(redmine, stream)
    kinds = ("TimeEntryActivity", "IssuePriority")
    for stream, kind in zip(("time_entry_activities", "issue_priorities"), kinds, strict=True):
        ids = [row[0] for row in redmine.sql("SELECT id FROM enumerations WHERE type = ?", kind)]
        assert warehouse.ids(stream) == sorted(ids)


def test_a_row_says_what_redmine_says(redmine, config):
    warehouse = Warehouse(config, "issues", "journals", "time_entries").sync()
    issue = warehouse.tables["issues"][1]
    answer = redmine.call("GET", "/issues/1.json?include=journals")["issue"]
    same = issue.keys() & answer.keys() - {"custom_fields"}
    assert {"subject", "updated_on", "closed_on", "done_ratio"} < same
    assert {name: issue[name] for name in same} == {name: answer[name] for name in same}
    assert (issue["project_id"], issue["project_name"]) == (1, "Shop")
    assert (issue["status_name"], issue["status_is_closed"]) == ("Closed", True)
    (closing,) = (row for row in warehouse.read("journals") if row["issue_id"] == 1)
    (answered,) = answer["journals"]
    assert (closing["user_id"], closing["notes"]) == (answered["user"]["id"], "Done")
    assert closing["details"] == answered["details"]
    assert closing["issue_updated_on"] == issue["updated_on"]
    entry = warehouse.tables["time_entries"][2]
    assert (entry["hours"], entry["spent_on"], entry["issue_id"]) == (1.5, "2026-01-30", 1)


def test_custom_fields_have_none_one_or_several_values(config):
    issues = Warehouse(config, "issues").sync().tables["issues"]
    browser = {"id": 1, "name": "Browser", "values": ["Firefox"]}
    for number, systems in ((1, []), (2, ["Linux"]), (3, ["Linux", "BSD"])):
        field = {"id": 2, "name": "Systems", "values": systems}
        assert issues[number]["custom_fields"] == [browser, field]


def test_closed_projects_and_locked_users_are_read(config):
    warehouse = Warehouse(config, "projects", "users").sync()
    assert {row["identifier"]: row["status"] for row in warehouse.read("projects")} == {
        "shop": 1,
        "billing": 1,
        "old-shop": 5,
    }
    users = {row["login"]: row["status"] for row in warehouse.read("users")}
    assert (users["admin"], users["ann"], users["cid"]) == (1, 1, 3)
    assert len({row["read_at"] for row in warehouse.read("users")}) == 1


def test_small_pages_read_the_same(config):
    streams = ("issues", "projects", "time_entries", "users", "issue_statuses")
    whole = Warehouse(config, *streams).sync()
    paged = Warehouse({**config, "page_size": 3}, *streams).sync()
    for stream in streams:
        assert paged.ids(stream) == whole.ids(stream)


def test_private_notes_are_for_those_who_may_see_them(redmine, config):
    mine = Warehouse(config, "journals").sync().read("journals")
    assert [row["private_notes"] for row in mine if row["notes"] == "Among us"] == [True]
    key = redmine.call("GET", "/users/5.json")["user"]["api_key"]
    theirs = Warehouse({**config, "api_key": key}, "journals").sync().read("journals")
    assert theirs
    assert "Among us" not in [row["notes"] for row in theirs]


def test_only_what_is_selected_is_asked_for(through_proxy, proxy):
    Warehouse(through_proxy, "issues").sync()
    assert proxy.asked == ["/users/current.json", "/issues.json"]


def test_journals_need_no_issues(through_proxy, proxy):
    warehouse = Warehouse(through_proxy, "journals").sync()
    assert warehouse.ids("journals") == [1, 2, 3]
    assert set(warehouse.tables) == {"journals"}


def test_a_batch_has_the_same_rows(config, tmp_path):
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tmp_path}"},
    }
    warehouse = Warehouse({**config, "batch_config": batches}, "issues").sync()
    (manifest,) = (each["manifest"] for each in warehouse.messages if each["type"] == "BATCH")
    file = Path(url2pathname(urlsplit(manifest[0]).path))
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert rows == Warehouse(config, "issues").sync().read("issues")
    assert warehouse.state["bookmarks"]["issues"]["replication_key_value"] == rows[-1]["updated_on"]


# Since the last time


def test_only_what_changed_is_read_again(redmine, through_proxy, proxy):
    warehouse = Warehouse(through_proxy, "issues", "journals").sync()
    new = redmine.add_issue("A new one")
    redmine.edit_issue(4, notes="Half way", done_ratio=50)
    warehouse.sync()
    # What is within the overlap before the bookmark comes once more, and no longer the next time.
    assert warehouse.ids("issues")[0] == 1
    proxy.asked.clear()
    warehouse.sync()
    assert warehouse.ids("issues") == [4, new]
    assert warehouse.tables["issues"][4]["done_ratio"] == 50
    assert [row["notes"] for row in warehouse.read("journals")] == ["Half way"]
    asked = [path for path in proxy.asked if path.startswith("/issues/")]
    assert asked == [f"/issues/{new}.json", "/issues/4.json"]


def test_start_date_leaves_out_what_is_older(redmine, config):
    redmine.edit_issue(5, subject="Touched")
    streams = ("issues", "time_entries")
    warehouse = Warehouse({**config, "start_date": "2025-01-01"}, *streams).sync()
    assert warehouse.ids("issues") == [5]
    assert len(warehouse.read("time_entries")) == len(all_ids(redmine, "time_entries"))


def test_a_sync_that_breaks_goes_on_from_where_it_was(redmine, config, between_pages, monkeypatch):
    # Days, so that the overlap does not reach back to the beginning.
    redmine.sql("UPDATE issues SET updated_on = datetime('2024-03-01 12:00', '+' || id || ' days')")
    monkeypatch.setattr(IssuesStream, "STATE_MSG_FREQUENCY", 1)
    warehouse = Warehouse({**config, "page_size": 3}, "issues")

    def fail() -> None:
        raise RuntimeError("the power is cut")

    between_pages(lambda: None, lambda: None, fail)
    with pytest.raises(RuntimeError, match="the power is cut"):
        warehouse.sync()
    read = warehouse.ids("issues")
    assert 0 < len(read) < len(all_ids(redmine, "issues"))
    warehouse.sync()
    assert warehouse.ids("issues")[0] == read[-1]
    assert sorted(warehouse.tables["issues"]) == all_ids(redmine, "issues")


def test_an_hour_that_comes_twice_loses_nothing(redmine, config):
    """Redmine keeps local times: when summer time ends, a later update seems to be an older."""
    redmine.sql("UPDATE issues SET updated_on = '2025-10-26 02:59:59' WHERE id = 1")
    warehouse = Warehouse(config, "issues").sync()
    redmine.sql(
        "UPDATE issues SET updated_on = '2025-10-26 02:00:01', subject = 'Later' WHERE id = 2"
    )
    warehouse.sync()
    assert warehouse.ids("issues") == [1, 2]
    assert warehouse.tables["issues"][2]["subject"] == "Later"


def test_a_date_in_the_future_does_not_stop_the_bookmark(redmine, config):
    redmine.sql("UPDATE issues SET updated_on = '2999-01-01 00:00:00' WHERE id = 1")
    warehouse = Warehouse(config, "issues").sync()
    assert warehouse.state["bookmarks"]["issues"]["replication_key_value"] < "2025"
    redmine.edit_issue(2, subject="Seen")
    assert warehouse.sync().tables["issues"][2]["subject"] == "Seen"


def test_what_is_gone_has_an_older_read_at(redmine, config):
    entry = redmine.add_time(3, comments="By mistake")
    warehouse = Warehouse(config, "time_entries").sync()
    redmine.call("DELETE", f"/time_entries/{entry}.json")
    entries = warehouse.sync().tables["time_entries"]
    latest = max(row["read_at"] for row in entries.values())
    assert [number for number, row in entries.items() if row["read_at"] < latest] == [entry]


# Changes while it is read


def test_no_issue_is_lost_when_others_change_while_pages_are_read(redmine, config, between_pages):
    gone = redmine.add_issue("Soon gone")
    redmine.age()
    warehouse = Warehouse({**config, "page_size": 3}, "issues")
    left = between_pages(
        lambda: redmine.edit_issue(1, subject="First, and last"),
        lambda: redmine.call("DELETE", f"/issues/{gone}.json"),
        lambda: redmine.edit_issue(10, subject="Not yet read"),
    )
    warehouse.sync()
    assert not left
    assert set(warehouse.tables["issues"]) >= set(all_ids(redmine, "issues"))
    assert warehouse.tables["issues"][1]["subject"] == "First, and last"
    assert warehouse.tables["issues"][10]["subject"] == "Not yet read"


def test_more_issues_than_a_page_can_change_in_one_second(redmine, config, between_pages):
    redmine.sql("UPDATE issues SET updated_on = '2024-05-01 12:00:00.5'")
    warehouse = Warehouse({**config, "page_size": 3}, "issues")
    left = between_pages(
        lambda: [redmine.edit_issue(number, subject="Moved") for number in (1, 2, 4)]
    )
    warehouse.sync()
    assert not left
    assert sorted(warehouse.tables["issues"]) == all_ids(redmine, "issues")


def test_no_time_entry_is_lost_when_others_are_deleted(redmine, config, between_pages):
    doomed = [redmine.add_time(1) for _ in range(3)]
    kept = [redmine.add_time(2) for _ in range(4)]
    # Before all others, so that these move by three places.
    redmine.sql(f"UPDATE time_entries SET created_on = '2020-01-01' WHERE id IN {tuple(doomed)}")  # noqa: S608
    left = between_pages(
        lambda: None,
        lambda: [redmine.call("DELETE", f"/time_entries/{number}.json") for number in doomed],
    )
    warehouse = Warehouse({**config, "page_size": 2}, "time_entries").sync()
    assert not left
    assert set(warehouse.ids("time_entries")) == {*all_ids(redmine, "time_entries"), *doomed}
    assert set(kept) < set(warehouse.ids("time_entries"))


def test_an_issue_may_go_before_its_journals_are_asked_for(redmine, config, between_pages):
    gone = redmine.add_issue("Soon gone")
    redmine.edit_issue(gone, notes="Going")
    between_pages(lambda: redmine.call("DELETE", f"/issues/{gone}.json"))
    journals = Warehouse(config, "journals").sync().read("journals")
    assert journals
    assert gone not in {row["issue_id"] for row in journals}


# Faults


def test_a_wrong_key_is_no_empty_list(config):
    with pytest.raises(FatalAPIError, match=r"returned 401 .* Redmine rejects api_key"):
        Warehouse({**config, "api_key": "wrong"}, "projects").sync()


def test_users_need_an_administrator(redmine, config):
    key = redmine.call("GET", "/users/5.json")["user"]["api_key"]
    with pytest.raises(FatalAPIError, match=r"users requires an administrator\) or deselect"):
        Warehouse({**config, "api_key": key}, "users").sync()


def test_too_many_requests_waits_as_long_as_the_server_asks(through_proxy, proxy, waits):
    proxy.faults = [(429, {"Retry-After": "7"}, b"")]
    assert Warehouse(through_proxy, "issues").sync().read("issues")
    assert [int(wait) for wait in waits] == [7]


def test_a_server_error_is_tried_again_with_growing_waits(through_proxy, proxy, waits):
    proxy.faults = [(500, {}, b"{}"), (502, {"Content-Type": "text/html"}, b"<html>")]
    assert Warehouse(through_proxy, "issues").sync().read("issues")
    assert [int(wait) for wait in waits] == [2, 4]


def test_a_server_that_stays_broken_is_told_in_one_line(through_proxy, proxy):
    proxy.faults = [(503, {}, b"Traceback\nof\nRedmine")] * 5
    with pytest.raises(RetriableAPIError) as error:
        Warehouse(through_proxy, "issues").sync()
    assert str(error.value) == f"GET {proxy.url}/issues.json returned 503 Service Unavailable"


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ((422, {}, b'{"errors":["Updated\\n is invalid"]}'), "422 .*: Updated is invalid$"),
        ((200, {"Content-Type": "text/html"}, b"<html>Sign in"), "instead of JSON, as a login"),
        (
            (200, {}, b'{"hello":"world"}'),
            "the response of /issues.json has no issues: is api_url correct",
        ),
        ((200, {}, b"[]"), "the response of /issues.json has no issues: is api_url correct"),
        ((302, {"Location": "/login?back_url=x"}, b""), "redirects to /login: set api_url"),
    ],
)
def test_what_another_try_would_not_change_says_what_to_do(
    through_proxy, proxy, waits, fault, line
):
    proxy.faults = [fault]
    with pytest.raises(FatalAPIError, match=line) as error:
        Warehouse(through_proxy, "issues").sync()
    assert "\n" not in str(error.value)
    assert waits == []


def test_the_key_is_not_logged(through_proxy, proxy, caplog):
    caplog.set_level(logging.DEBUG)
    proxy.faults = [(500, {}, b"{}")]
    Warehouse(through_proxy, "issues").sync()
    assert "/issues.json" in caplog.text
    assert through_proxy["api_key"] not in caplog.text


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"api_key": "wrong"}, "Redmine rejects api_key"),
        (
            {"path": "/projects"},
            "is api_url correct? It must be the address of Redmine's home page",
        ),
    ],
)
def test_the_executable_ends_in_one_line(config, wrong, line, tmp_path):
    config = {**config, **wrong}
    config["api_url"] += config.pop("path", "")
    (tmp_path / "config.json").write_text(json.dumps(config))
    run = subprocess.run(
        [Path(sys.executable).with_name("tap-redmine"), "--config", tmp_path / "config.json"],
        env={**os.environ, "TAP_REDMINE_LOGLEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert line in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert config["api_key"] == "wrong" or config["api_key"] not in run.stderr
