"""A real Redmine with a little history, for tests and to play with.

`python -m tests.connectors.servers.redmine_source` runs one until Ctrl-C.

It is Debian's package `redmine`, copied to a temporary folder, with a SQLite database of its own.
"""

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

INSTALLED = Path("/usr/share/redmine")
PARTS = ("app", "bin", "config", "config.ru", "db", "extra", "Gemfile", "lib", "public", "Rakefile")
MISSING = "no Redmine: apt-get install redmine redmine-sqlite puma"
START_LIMIT = 300
_OWNER = "www-data"
# Summer time ends here: Redmine keeps local times.
TIME_ZONE = "Europe/Berlin"

DATABASE = """production:
  adapter: sqlite3
  database: {folder}/redmine.sqlite
  timeout: 20000
"""
QUICK = """require "active_record/connection_adapters/sqlite3_adapter"
ActiveRecord::ConnectionAdapters::SQLite3Adapter.prepend(
  Module.new do
    def configure_connection
      super
      execute("PRAGMA synchronous = OFF")
    end
  end
)
"""
# What an administrator does in the web page, and the REST API cannot do.
ADMINISTER = """Rails.application.config.after_initialize do
  Redmine::DefaultData::Loader.load("en")
  Setting.rest_api_enabled = "1"
  admin = User.find_by_login("admin")
  admin.update_column(:must_change_passwd, false)
  Token.create!(user: admin, action: "api").update_column(:value, ENV["ADMIN_KEY"])
  everywhere = {is_for_all: true, trackers: Tracker.all.to_a}
  IssueCustomField.create!(name: "Browser", field_format: "string", **everywhere)
  several = {field_format: "list", multiple: true, possible_values: %w[Linux BSD]}
  IssueCustomField.create!(name: "Systems", **several, **everywhere)
end if ENV["ADMIN_KEY"]
"""


@dataclass(frozen=True)
class Redmine:
    """A running Redmine, and what people do in it."""

    url: str
    key: str
    folder: Path

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Use the REST API as the administrator."""
        headers = {"X-Redmine-API-Key": self.key}
        answer = requests.request(
            method, f"{self.url}{path}", json=body or None, headers=headers, timeout=120
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def sql(self, statement: str, *values: object) -> list[tuple]:
        """Do what nobody can in the application, such as let time pass."""
        with self._database() as database:
            return database.execute(statement, values).fetchall()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "redmine.sqlite", timeout=60)) as database:
            database.execute("PRAGMA synchronous = OFF")
            yield database
            database.commit()

    def add_issue(self, subject: str, **columns: object) -> int:
        """Write an issue in the first project."""
        issue = {"project_id": 1, "tracker_id": 1, "subject": subject, **columns}
        return int(self.call("POST", "/issues.json", issue=issue)["issue"]["id"])

    def edit_issue(self, number: int, **columns: object) -> None:
        self.call("PUT", f"/issues/{number}.json", issue=columns)

    def add_time(self, hours: float, **columns: object) -> int:
        """Log time on the first project."""
        entry = {"project_id": 1, "activity_id": 9, "hours": hours, **columns}
        return int(self.call("POST", "/time_entries.json", time_entry=entry)["time_entry"]["id"])

    def add_user(self, login: str, **columns: object) -> dict[str, Any]:
        names = {"login": login, "firstname": login.title(), "lastname": "Example"}
        user = {**names, "mail": f"{login}@example.com", "password": "a-long-password", **columns}
        return self.call("POST", "/users.json", user=user)["user"]

    def age(self) -> None:
        """Date all that is there back to one day of 2024, a row each minute."""
        with self._database() as database:
            for table in ("projects", "issues", "journals", "time_entries", "users"):
                columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
                for column in columns & {"created_on", "updated_on"}:
                    database.execute(
                        f"UPDATE {table} SET {column} = strftime("  # noqa: S608 - names from above
                        "'%Y-%m-%d %H:%M:%f000', '2024-03-01 12:00', '+' || id || ' minutes')"
                    )


def seed(redmine: Redmine) -> None:
    """Give Redmine three projects, four users, and issues that people worked on."""
    project = {"tracker_ids": [1, 2], "enabled_module_names": ["issue_tracking", "time_tracking"]}
    for name, public in (("shop", True), ("billing", False), ("old-shop", False)):
        about = {"name": name.title(), "identifier": name, "is_public": public}
        redmine.call("POST", "/projects.json", project={**project, **about})
    for login, status in (("ann", 1), ("bob", 1), ("cid", 3)):
        redmine.add_user(login, status=status)
    for number in range(10):
        fields = [{"id": 1, "value": "Firefox"}, {"id": 2, "value": ["Linux", "BSD"][: number % 3]}]
        redmine.add_issue(
            f"Issue {number}", project_id=number % 3 + 1, priority_id=2, custom_fields=fields
        )
    redmine.edit_issue(1, status_id=5, notes="Done")
    redmine.edit_issue(2, notes="Among us", private_notes=True)
    redmine.edit_issue(3, subject="A better title", done_ratio=30)
    for hours in (0.25, 1.5, 8.0):
        redmine.add_time(hours, issue_id=1, spent_on="2026-01-30")
    redmine.call("PUT", "/projects/old-shop/close.json")
    redmine.age()


@contextmanager
def running_redmine() -> Iterator[Redmine]:
    """Run a Redmine in a folder of its own, without history."""
    with tempfile.TemporaryDirectory(prefix="redmine-") as name:
        folder = Path(name)
        owner = _OWNER if os.geteuid() == 0 else None
        _copy(folder, owner)
        port, key = _free_port(), secrets.token_hex(20)
        environ = {
            "PATH": os.defpath,
            "HOME": name,
            "LANG": "C.UTF-8",
            "RAILS_ENV": "production",
            "SCHEMA": os.devnull,
            "TZ": TIME_ZONE,
        }
        run: dict[str, Any] = {"cwd": folder, "env": environ, "user": owner, "group": owner}
        run |= {"extra_groups": []} if owner else {}
        migrated = subprocess.run(
            ["ruby", "bin/rake", "db:migrate"], capture_output=True, text=True, check=False, **run
        )
        assert migrated.returncode == 0, migrated.stdout[-2000:] + migrated.stderr
        environ["ADMIN_KEY"] = key
        bind = ["-b", f"tcp://127.0.0.1:{port}", "-t", "1:4"]
        log = folder / "log"
        with log.open("w") as output:
            server = subprocess.Popen(
                ["bundle", "exec", "puma", *bind], stdout=output, stderr=output, **run
            )
        try:
            redmine = Redmine(f"http://127.0.0.1:{port}", key, folder)
            _wait(redmine, server, log)
            yield redmine
        finally:
            server.kill()
            server.wait()


def _copy(folder: Path, owner: str | None) -> None:
    for part in PARTS:
        source, target = INSTALLED / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("database.yml"))
        else:
            shutil.copy(source, target)
    instance = folder / "instances/default"
    for inner in ("config", "log", "tmp"):
        (instance / inner).mkdir(parents=True)
    (instance / "config/database.yml").write_text(DATABASE.format(folder=folder))
    (instance / "config/secret_key.txt").write_text(secrets.token_hex(32))
    # Debian's Gemfile looks for the databases of the Redmine that is installed.
    gems = (folder / "Gemfile").read_text().replace(f"{INSTALLED}/", f"{folder}/")
    (folder / "Gemfile").write_text(gems)
    (folder / "Gemfile.local").write_text('gem "puma"\n')
    (folder / "config/initializers/quick.rb").write_text(QUICK)
    (folder / "config/initializers/administer.rb").write_text(ADMINISTER)
    if owner:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, owner, owner)


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def _wait(redmine: Redmine, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_LIMIT
    while True:
        assert server.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < end, f"no answer within {START_LIMIT} s"
        try:
            redmine.call("GET", "/users/current.json")
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="session")
def redmine(sources_process: None) -> Iterator[Redmine]:
    """A Redmine with a little history, all of it years old."""
    if not (INSTALLED / "config.ru").exists() or not shutil.which("puma"):
        pytest.skip(MISSING)
    with running_redmine() as running:
        seed(running)
        yield running


def main() -> None:
    if not (INSTALLED / "config.ru").exists() or not shutil.which("puma"):
        sys.exit(MISSING)
    # Else the server would outlive this script.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("Redmine starts; that takes half a minute ...")
    with suppress(KeyboardInterrupt), running_redmine() as redmine:
        seed(redmine)
        print(f"TAP_REDMINE_API_URL={redmine.url}\nTAP_REDMINE_API_KEY={redmine.key}")
        print("Web page: log in as admin, password admin. Ctrl-C ends it.")
        signal.pause()


if __name__ == "__main__":
    main()
