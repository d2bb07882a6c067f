"""tap-ldap against a real OpenLDAP server: what it reads, and what it reads again."""

from __future__ import annotations

import gzip
import io
import json
import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from ldap3 import MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE, Connection
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_ldap.faults import DirectoryError
from tap_ldap.tap import TapLDAP

from tests.connectors.servers.ldap_source import PEOPLE, SIZE_LIMIT, STAFF, Directory
from tests.support.ldap_place import Place
from tests.support.ldap_tap import Warehouse, records, sync

README = Path(__file__).parents[3] / "extractors/tap-ldap/README.md"
SUITE = SuiteConfig(max_records_limit=None)
LONG_AGO = "20200101000000Z"

StandardTests = get_tap_test_class(
    TapLDAP,
    config={"url": "ldap://placeholder.invalid", "base_dn": "dc=example,dc=org"},
    suite_config=SUITE,
    parse_env_config=False,
)


# A column that is null in every row, such as display_name.
@pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")
class TestStandard(StandardTests):
    """The SDK's own tests, which want their settings before the server runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, ldap_directory: Directory) -> TapTestRunner:
        runner = TapTestRunner(TapLDAP, config=ldap_directory.settings, suite_config=SUITE)
        runner.sync_all()
        return runner


@pytest.fixture
def warehouse(place: Place) -> Warehouse:
    return Warehouse(place.settings)


@pytest.fixture
def between_pages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """Do the next thing of a list after each page that the tap has got."""
    search = Connection.search

    def plan(*actions: Callable[[], object]) -> list:
        left = list(actions)

        def search_and_act(self: Connection, *args: object, **kwargs: object) -> object:
            found = search(self, *args, **kwargs)
            if kwargs.get("paged_size") and left:
                left.pop(0)()
            return found

        monkeypatch.setattr("tap_ldap.directory.Connection.search", search_and_act)
        return left

    return plan


def sql(title: str) -> str:
    """Return a query of the README."""
    return re.search(rf"{title}.*?```sql\n(.*?)```", README.read_text(), re.DOTALL)[1]


def current(warehouse: Warehouse) -> set[tuple[str, str]]:
    queries = sql("The members of today"), "SELECT group_name, member FROM members"
    return set(warehouse.query("".join(queries)))


# Everything


def test_all_people_are_read_though_the_server_gives_few_at_once(ldap_directory: Directory):
    names = ("entryUUID", "cn", "mail", "employeeNumber", "jpegPhoto", "homeDirectory")
    expected = {}
    with ldap_directory.administrator() as connection:
        for dn, found in ldap_directory.read(connection, PEOPLE, "(uid=*)", *names):
            expected[found["entryUUID"][0].decode()] = dn, found
    assert len(expected) == STAFF > SIZE_LIMIT

    settings = {**ldap_directory.settings, "attributes": ["jpegPhoto", "homeDirectory"]}
    messages = sync(settings, only="people")
    people = {row["id"]: row for row in records(messages, "people")}
    assert people.keys() == expected.keys()
    for key, (dn, found) in expected.items():
        row = people[key]
        assert (row["dn"], row["name"]) == (dn, found["cn"][0].decode())
        assert row["mails"] == [mail.decode() for mail in found["mail"]]
        assert row["mail"] == row["mails"][0]
        assert row["employee_number"] == found["employeeNumber"][0].decode()
        assert [b64decode(photo) for photo in row["jpegPhoto"]] == found["jpegPhoto"]
        assert row["homeDirectory"] == [found["homeDirectory"][0].decode()]
    assert "hash-of-" not in json.dumps(messages)


def test_all_members_are_read_in_whichever_attribute_they_stand(ldap_directory: Directory):
    expected = set()
    with ldap_directory.administrator() as connection:
        for attribute in ("member", "uniqueMember", "memberUid"):
            filter_ = f"({attribute}=*)"
            for _, found in ldap_directory.read(
                connection, PEOPLE.partition(",")[2], filter_, "entryUUID", attribute
            ):
                group = found["entryUUID"][0].decode()
                expected |= {(group, value.decode(), attribute) for value in found[attribute]}
    rows = records(sync(ldap_directory.settings, only="memberships"), "memberships")
    assert {(row["group_id"], row["member"], row["attribute"]) for row in rows} == expected
    assert len(rows) == len(expected) > STAFF


@pytest.mark.parametrize("page_size", [1, 3, 1000])
def test_pages_of_any_size_read_the_same(place: Place, page_size: int):
    people = {place.person(f"p{number}") for number in range(6)}
    rows = records(sync({**place.settings, "page_size": page_size}), "people")
    assert sorted(row["dn"] for row in rows) == sorted(people)


def test_a_row_has_the_declared_columns(place: Place):
    place.group("team", [place.person("ada")])
    messages = sync({**place.settings, "attributes": ["homeDirectory"]})
    for schema in (m for m in messages if m["type"] == "SCHEMA"):
        (row,) = records(messages, schema["stream"])
        assert row.keys() == schema["schema"]["properties"].keys()


def test_only_selected_columns_are_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch):
    place.person("ada", mail="ada@example.org")
    asked = []
    search = Connection.search
    monkeypatch.setattr(
        "tap_ldap.directory.Connection.search",
        lambda self, *args, **kwargs: asked.append(args[4]) or search(self, *args, **kwargs),
    )
    tap = TapLDAP(config=place.settings)
    people = tap.catalog["people"].metadata
    for column in people:
        people[column].selected = column in {(), ("properties", "name")}
    for other in ("groups", "memberships"):
        tap.catalog[other].metadata.root.selected = False
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        tap.sync_all()
    out.seek(0)
    (row,) = records([json.loads(line) for line in out], "people")
    assert row.keys() == {"id", "name", "modified_at"}
    (attributes,) = asked
    assert set(attributes) == {
        "entryUUID", "objectGUID", "cn", "entryCSN", "modifyTimestamp", "whenChanged"
    }  # fmt: skip


def test_batches_hold_the_same_rows(place: Place, tmp_path: Path):
    place.person("ada")
    place.group("all", [place.person("björn")])
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri(), "prefix": ""},
    }
    found: dict[str, list[dict]] = {}
    for message in sync({**place.settings, "batch_config": batches}):
        for url in message.get("manifest", ()):
            lines = gzip.decompress(Path(url2pathname(urlsplit(url).path)).read_bytes())
            rows = map(json.loads, lines.splitlines())
            found.setdefault(message["stream"], []).extend(rows)
    plain = sync(place.settings)
    for stream in ("people", "groups", "memberships"):
        batched, rows = found[stream], records(plain, stream)
        assert [{**row, "read_at": ""} for row in batched] == [
            {**row, "read_at": ""} for row in rows
        ]


def test_an_entry_on_another_server_is_left_to_it(place: Place):
    place.person("ada")
    place.referral("elsewhere", "ldap://127.0.0.1:1/dc=example,dc=net")
    assert [row["username"] for row in records(sync(place.settings), "people")] == ["ada"]


# Since the last time


def test_only_what_changed_is_read_again(place: Place, warehouse: Warehouse):
    ada, bob = (place.person(name, modifyTimestamp=LONG_AGO) for name in ("ada", "bob"))
    team = place.group("team", [ada], modifyTimestamp=LONG_AGO)
    assert len(warehouse.sync().loaded) == 4
    assert warehouse.sync().loaded == []

    place.admin.modify(bob, {"title": [(MODIFY_REPLACE, ["Boss"])]})
    assert [row["title"] for row in warehouse.sync().loaded] == ["Boss"]

    eve = place.person("eve")
    place.admin.modify(team, {"member": [(MODIFY_ADD, [eve])]})
    warehouse.sync()
    assert {row["username"] for row in warehouse.rows("people")} == {"ada", "bob", "eve"}
    assert current(warehouse) == {("team", ada), ("team", eve)}


def test_a_change_within_the_second_of_the_bookmark_is_read(
    place: Place, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tap_ldap.client.OVERLAP", timedelta(0))
    ada = place.person("ada")
    for number in range(5):
        place.admin.modify(ada, {"title": [(MODIFY_REPLACE, [f"t{number}"])]})
        assert [row["title"] for row in warehouse.sync().rows("people")] == [f"t{number}"]


def test_a_change_that_a_replica_got_late_is_read(place: Place, warehouse: Warehouse):
    place.person("ada")
    warehouse.sync()
    bookmark = warehouse.state["bookmarks"]["people"]["replication_key_value"]
    earlier = datetime.fromisoformat(bookmark) - timedelta(minutes=30)
    place.person("late", modifyTimestamp=f"{earlier:%Y%m%d%H%M%SZ}")
    warehouse.sync()
    assert {row["username"] for row in warehouse.rows("people")} == {"ada", "late"}


def test_an_entry_without_a_date_is_read_every_time(place: Place, warehouse: Warehouse):
    place.person("ada", modifyTimestamp=LONG_AGO)
    with place.unstamped():
        place.person("undated", entryUUID="00000000-0000-0000-0000-000000000001")
    assert len(warehouse.sync().loaded) == 2
    assert [row["username"] for row in warehouse.sync().loaded] == ["undated"]
    assert warehouse.loaded[0]["modified_at"] is None


def test_a_date_in_the_future_hides_no_later_change(place: Place, warehouse: Warehouse):
    with place.unstamped():
        place.person(
            "early",
            entryUUID="00000000-0000-0000-0000-000000000002",
            modifyTimestamp="20990101000000Z",
        )
    assert warehouse.sync().rows("people")[0]["modified_at"] == "2099-01-01T00:00:00+00:00"
    place.person("ada")
    warehouse.sync()
    assert {row["username"] for row in warehouse.rows("people")} == {"ada", "early"}


def test_a_renamed_entry_stays_the_same_row(place: Place, warehouse: Warehouse):
    ada = place.person("ada")
    (before,) = warehouse.sync().rows("people")
    place.admin.modify_dn(ada, "uid=lovelace")
    (after,) = warehouse.sync().rows("people")
    assert after["id"] == before["id"]
    assert (after["username"], after["dn"]) == ("lovelace", f"uid=lovelace,{place.dn}")


def test_a_removed_member_is_told_from_the_others(place: Place, warehouse: Warehouse):
    ada, bob, eve = (place.person(name) for name in ("ada", "bob", "eve"))
    team = place.group("team", [ada, bob])
    posix = place.group("posix", [], classes=["posixGroup"], gidNumber=1, memberUid=["ada", "bob"])
    assert current(warehouse.sync()) == {
        ("team", ada), ("team", bob), ("posix", "ada"), ("posix", "bob")
    }  # fmt: skip

    # Within a second, as slapd's modifyTimestamp has it.
    place.admin.modify(team, {"member": [(MODIFY_DELETE, [bob]), (MODIFY_ADD, [eve])]})
    place.admin.modify(posix, {"memberUid": [(MODIFY_DELETE, [])]})
    assert current(warehouse.sync()) == {("team", ada), ("team", eve)}
    assert len(warehouse.rows("memberships")) == 5


def test_nested_groups_can_be_unfolded_even_in_circles(place: Place, warehouse: Warehouse):
    ada, bob = place.person("ada"), place.person("bob")
    inner, outer = (f"cn={name},{place.dn}" for name in ("inner", "outer"))
    place.group("inner", [ada, outer])
    place.group("outer", [bob, inner])
    queries = sql("The members of today") + sql("The people of a group")
    members = set(warehouse.sync().query(queries))
    assert members == {(group, name) for group in ("inner", "outer") for name in ("ada", "bob")}


def test_what_was_deleted_shows_after_a_full_refresh(place: Place, warehouse: Warehouse):
    ada = place.person("ada")
    place.person("bob")
    warehouse.sync()
    place.admin.delete(ada)
    assert len(warehouse.sync().rows("people")) == 2
    warehouse.state = {}
    rows = warehouse.sync().rows("people")
    refreshed = max(row["read_at"] for row in rows)
    assert [row["username"] for row in rows if row["read_at"] < refreshed] == ["ada"]


# While it is read


def test_no_entry_is_lost_or_doubled_when_others_come_and_go_between_pages(
    place: Place, warehouse: Warehouse, between_pages: Callable[..., list]
):
    dns = [place.person(f"p{number:02}") for number in range(20)]
    warehouse.config = {**warehouse.config, "page_size": 4, "groups_filter": "(cn=none)"}
    left = between_pages(
        lambda: None,  # groups
        lambda: None,  # memberships
        lambda: place.admin.delete(dns[0]),
        lambda: place.admin.modify(dns[19], {"title": [(MODIFY_REPLACE, ["late"])]}),
        lambda: place.admin.modify(dns[1], {"title": [(MODIFY_REPLACE, ["early"])]}),
        lambda: place.admin.delete(dns[18]) and place.person("new"),
    )
    warehouse.sync()
    assert left == [], "there were fewer pages than the test needs"
    names = [row["username"] for row in warehouse.loaded]
    assert len(names) == len(set(names))
    assert {f"p{number:02}" for number in range(1, 18)} <= set(names)

    rows = {row["username"]: row["title"] for row in warehouse.sync().rows("people")}
    assert (rows["p01"], rows["p19"], "new" in rows) == ("early", "late", True)


def test_a_sync_that_breaks_is_read_again_from_the_old_bookmark(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    for number in range(6):
        place.person(f"p{number}", modifyTimestamp=LONG_AGO)
    monkeypatch.setattr("tap_ldap.client.EntryStream.STATE_MSG_FREQUENCY", 1)
    tap = TapLDAP(config={**place.settings, "page_size": 2})
    out = io.StringIO()
    unwilling = 53
    with place.fault(unwilling), redirect_stdout(out), pytest.raises(DirectoryError):
        tap.streams["people"].sync()
    assert out.getvalue().count('"RECORD"') == 6
    assert len(records(sync(place.settings, state=tap.state), "people")) == 6
