"""The pipelines of the reference project, from real servers of their sources into a warehouse.

Our connectors run in the environment of the tests; those from PyPI are installed as locked.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.connectors.servers import shop_source
from tests.connectors.servers.imap_mails import an_order
from tests.support.running import copy_checkout, stand_in

BIN = Path(sys.executable).parent
OURS = {
    "extractors": ["tap-imap", "tap-ldap", "tap-redmine", "tap-sftp", "tap-tryton"],
    "loaders": ["target-duckdb"],
    "utilities": ["platform-health"],
}
PIPELINES = (
    *("mail", "price_lists", "mail_archive", "redmine_issues", "redmine_time", "directory"),
    *("erp_master_data", "erp_documents", "bank_statements", "supplier_catalogues", "shop_orders"),
)


@pytest.fixture(scope="module")
def suppliers(mail_source):
    """Mailboxes as the pipelines name them, beside those of other tests."""
    with mail_source.mail_program() as client:
        for mailbox in ("Suppliers", "Archive", "Archive/2024"):
            client.create_folder(mailbox)
            client.append(mailbox, an_order())
        yield mail_source
        for mailbox in ("Archive/2024", "Archive", "Suppliers"):
            client.delete_folder(mailbox)


def variables(plugin: str, settings: dict) -> dict[str, str]:
    """Return settings as Meltano reads them from variables."""
    prefix = plugin.upper().replace("-", "_")
    return {
        f"{prefix}_{name.upper()}": each if isinstance(each, str) else json.dumps(each)
        for name, each in settings.items()
    }


@dataclass(frozen=True)
class Project:
    """A copy of the reference project, with everything at hand that it reads."""

    root: Path
    environ: dict[str, str]

    @property
    def warehouse(self) -> Path:
        return self.root / "output/warehouse.duckdb"

    def meltano(self, *words: str, **environ: str) -> str:
        """Run Meltano; return what it prints."""
        done = subprocess.run(
            [BIN / "meltano", *words],
            cwd=self.root,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:]
        return done.stdout

    def state(self, state_id: str) -> str:
        """Return the state of a pipeline."""
        return self.meltano("state", "get", state_id).splitlines()[-1]

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def counts(self) -> dict[str, int]:
        """Return the rows of every loaded table."""
        tables = self.query(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema not in ('platform', 'tap_airflow') order by 1"
        )
        return {name: self.query(f"select count(*) from {name}")[0][0] for (name,) in tables}  # noqa: S608


def as_good_as_installed(root: Path) -> None:
    """Have the connectors of this repository run where the tests do."""
    for kind, names in OURS.items():
        for name in names:
            stand_in(root, f"{kind}/{name}", str(BIN / name))


@pytest.fixture(scope="module")
def sources(  # noqa: PLR0917 - one for each source
    suppliers, redmine, ldap_directory, sftp, tryton, shop
) -> dict[str, str]:
    """All servers, as variables that taps read."""
    return {
        "SSL_CERT_FILE": str(suppliers.certificate),
        **variables("tap-imap", {**suppliers.settings(), "mailboxes": ["INBOX", "Sent"]}),
        **variables("tap-redmine", {"api_url": redmine.url, "api_key": redmine.key}),
        **variables("tap-ldap", ldap_directory.settings),
        **variables("tap-sftp", sftp.settings),
        **variables("tap-tryton", tryton.settings),
        **variables("tap-postgres", shop_source.settings(shop)),
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory, sources) -> Project:
    root = copy_checkout(tmp_path_factory.mktemp("platform")) / "meltano"
    as_good_as_installed(root)
    (root / "output").mkdir()
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MELTANO_", "TAP_"))},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    for kind, name in (("extractor", "tap-postgres"), ("mapper", "meltano-map-transform")):
        Project(root, environ).meltano("install", kind, name)
    return Project(root, environ | sources)


@pytest.fixture(scope="module")
def loaded(project) -> Project:
    """The project after every pipeline has run once."""
    project.meltano("run", "--no-install", *PIPELINES)
    return project


def test_every_pipeline_loads_what_its_source_has(loaded, redmine, ldap_directory, tryton, sftp):
    counts = loaded.counts()
    assert {name.partition(".")[0] for name in counts} == {
        *("mail", "price_lists", "mail_archive", "redmine", "ldap", "tryton", "bank"),
        *("suppliers", "shop"),
    }
    assert counts["redmine.issues"] == redmine.sql("select count(*) from issues")[0][0]
    assert counts["redmine.time_entries"] == redmine.sql("select count(*) from time_entries")[0][0]
    assert counts["shop.orders"] == shop_source.ORDERS
    assert counts["shop.customers"] == shop_source.CUSTOMERS
    assert counts["price_lists.attachment_rows"] > 0
    assert all(counts.values()), counts


def test_a_second_run_loads_nothing_twice(loaded):
    before = loaded.counts()
    loaded.meltano("run", "--no-install", "mail", "redmine_time", "erp_documents")
    assert loaded.counts() == before


def test_the_mapper_hides_who_the_customers_are(loaded):
    assert loaded.query("select count(distinct email) from shop.customers") == [(40,)]
    assert loaded.query("select count(*) from shop.customers where email like '%@%'") == [(0,)]
    columns = loaded.query("select column_name from duckdb_columns() where schema_name = 'shop'")
    assert ("full_name",) not in columns


def test_what_looks_after_the_platform_finds_it_well(loaded):
    jobs = ("freshness", "row_counts", "housekeeping")
    extractors = json.dumps(["tap-imap", "tap-redmine-time", "tap-sftp-bank"])
    said = loaded.meltano("run", "--no-install", *jobs, PLATFORM_HEALTH_EXTRACTORS=extractors)
    counted = loaded.query("select table_name, source_rows, loaded_rows from platform.row_counts")
    assert {name.partition(".")[0] for name, *_ in counted} == {"mail", "redmine", "bank"}
    assert all(source == there for _, source, there in counted), said
    assert re.search(r"\d\d tables are fresh", said)


@pytest.mark.faults
def test_state_comes_back_from_its_backup(loaded):
    loaded.meltano("run", "--no-install", "state_backup")
    [backup] = (loaded.root / "output/state-backups").iterdir()
    assert len([*backup.iterdir()]) == len(PIPELINES) + 1
    state_id = "dev:tap-ldap-to-target-warehouse"
    before = loaded.state(state_id)
    loaded.meltano("state", "clear", "--force", state_id)
    file = backup / f"{state_id}.json"
    loaded.meltano("state", "set", "--force", "--input-file", str(file), state_id)
    assert loaded.state(state_id) == before


def test_rows_that_the_warehouse_lacks_are_named(loaded):
    with duckdb.connect(str(loaded.warehouse)) as connection:
        connection.execute("delete from redmine.time_entries")
    extractors = json.dumps(["tap-redmine-time"])
    with pytest.raises(AssertionError, match=r"redmine\.time_entries has 0 of \d+ rows"):
        loaded.meltano("run", "--no-install", "row_counts", PLATFORM_HEALTH_EXTRACTORS=extractors)
