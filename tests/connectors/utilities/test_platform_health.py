"""platform-health on a real DuckDB file: what it measures, draws, finds wrong and forgets."""

import gzip
import json
import math
import os
import re
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from click.testing import CliRunner
from platform_health import (
    freshness,
    housekeeping,
    meltano,
    page,
    row_counts,
    state_backup,
    success_rate,
)
from platform_health.cli import cli, main
from platform_health.errors import HealthError
from platform_health.warehouse import Warehouse
from upath import UPath

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
TABLES = """
create schema tap_airflow;
create table tap_airflow.dag_runs (
    dag_id varchar, dag_run_id varchar, state varchar, run_type varchar,
    run_after timestamptz, duration double);
create table tap_airflow.task_instances (
    dag_id varchar, dag_run_id varchar, task_id varchar, map_index bigint, try_number bigint);
create table tap_airflow.task_failures (
    dag_id varchar, dag_run_id varchar, task_id varchar, map_index bigint, try_number bigint,
    end_date timestamptz, error varchar);
"""


class File:
    """A warehouse, and what a loader would do to it."""

    def __init__(self, path):
        self.path = path

    @property
    def url(self):
        return f"duckdb:///{self.path}"

    def run(self, sql, *values):
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql, values or None).fetchall()

    def add_run(self, dag_id, state, ago, seconds=10, *, kind="scheduled", tries=1, error=None):
        [(number,)] = self.run("select count(*) from tap_airflow.dag_runs")
        run_id = f"run {number}"
        runs = "insert into tap_airflow.dag_runs values (?, ?, ?, ?, ?, ?)"
        self.run(runs, dag_id, run_id, state, kind, NOW - ago, seconds)
        tasks = "insert into tap_airflow.task_instances values (?, ?, 'load', -1, ?)"
        self.run(tasks, dag_id, run_id, tries)
        if error:
            failures = "insert into tap_airflow.task_failures values (?, ?, 'load', -1, 1, ?, ?)"
            self.run(failures, dag_id, run_id, NOW - ago, error)


@pytest.fixture
def file(tmp_path):
    found = File(tmp_path / "warehouse.duckdb")
    found.run(TABLES)
    return found


@pytest.fixture
def warehouse(file):
    return Warehouse(file.url)


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_the_rate_is_that_of_scheduled_runs_that_have_ended_within_each_window(file, warehouse):
    for state, ago in [("success", HOUR), ("success", 6 * DAY), ("failed", 8 * DAY)]:
        file.add_run("crm", state, ago)
    file.add_run("crm", "running", HOUR)
    file.add_run("crm", "success", HOUR, kind="asset_triggered")
    file.add_run("crm", "failed", HOUR, kind="manual")
    file.add_run("crm", "failed", 31 * DAY)
    measured = success_rate.measure(warehouse, NOW)
    week, month = measured.of_all(7), measured.of_all(30)
    assert (week.succeeded, week.runs, month.succeeded, month.runs) == (3, 3, 3, 4)
    assert measured.headline == (
        "100% of 3 scheduled runs succeeded in 7 days, 75% of 4 scheduled runs succeeded in 30 days"
    )


def test_durations_and_retries_are_told_of_each_dag_the_worst_first(file, warehouse):
    for seconds in range(1, 101):
        file.add_run("good", "success", HOUR, seconds)
    file.add_run("bad", "success", HOUR, 7, tries=3)
    file.add_run("bad", "failed", HOUR, 9, tries=2)
    bad, good = success_rate.measure(warehouse, NOW).of_dags(7)
    assert (bad.dag_id, bad.rate, bad.retries, bad.p50_seconds) == ("bad", 0.5, 3, 8)
    assert (good.dag_id, good.rate, good.retries) == ("good", 1, 0)
    assert (good.p50_seconds, good.p95_seconds) == (50.5, pytest.approx(95.05))


def test_failures_are_counted_by_what_does_not_differ_from_run_to_run(file, warehouse):
    meltano = "Meltano failed with exit code 1: tap-crm: 503 from node 7"
    for error in (meltano, meltano.replace("503", "502"), "OOMKilled: the pod"):
        file.add_run("crm", "success", HOUR, tries=2, error=error)
    file.add_run("crm", "success", HOUR, kind="manual", error="by hand")
    measured = success_rate.measure(warehouse, NOW)
    assert measured.causes == [("tap-crm: … from node …", 2), ("OOMKilled: the pod", 1)]


def test_a_failure_whose_log_or_end_is_not_known_is_told_as_any_other(file, warehouse):
    file.add_run("crm", "failed", HOUR, None, error="503")
    file.add_run("crm", "failed", HOUR, None, error="503")
    file.run("update tap_airflow.task_failures set error = null where dag_run_id = 'run 0'")
    file.run("update tap_airflow.task_failures set end_date = null where dag_run_id = 'run 1'")
    measured = success_rate.measure(warehouse, NOW)
    assert measured.causes == [("no error in its log", 1), ("…", 1)]
    assert "no error in its log" in page.draw(measured)


def test_a_cause_is_no_formula(file, warehouse):
    file.add_run("crm", "failed", HOUR, error="neither $a^^b nor $c is set")
    assert "neither $a^^b nor $c is set" in page.draw(success_rate.measure(warehouse, NOW))


def test_days_and_times_are_those_of_utc_wherever_it_runs(file, warehouse, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    late = datetime(2026, 3, 30, 23, tzinfo=UTC)
    file.add_run("crm", "failed", NOW - late, error="503")
    measured = success_rate.measure(warehouse, NOW)
    assert measured.days == {late.date(): (0, 1)}
    assert measured.failures[0].ended.startswith("2026-03-30 23:00")


def test_what_was_measured_is_kept_in_tables_that_grow(file, warehouse):
    file.add_run("crm", "failed", HOUR, error="no room")
    for _ in range(2):
        success_rate.record(warehouse, success_rate.measure(warehouse, NOW))
    sql = "select window_days, dag_id, runs, success_rate, count(*) from platform.success_rate"
    kept = file.run(f"{sql} group by all order by all")
    assert kept == [(days, dag, 1, 0.0, 2) for days in (7, 30) for dag in ("crm", None)]
    causes = file.run("select cause, failures from platform.failures_by_cause")
    assert causes == [("no room", 1)] * 2


def test_the_page_needs_no_other_file_and_shows_text_as_text(file, warehouse):
    file.add_run("crm", "success", 40 * HOUR, 5400)
    file.add_run("crm", "failed", HOUR, error="<script>alert(1)</script>")
    html = page.draw(success_rate.measure(warehouse, NOW))
    assert "50%" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert not re.search(r"""(?:src|href)=["'](?!\#)""", html)
    assert html.count("<svg") == 3
    assert html == page.draw(success_rate.measure(warehouse, NOW))


def test_a_platform_on_which_nothing_has_run_has_a_page_too(warehouse):
    measured = success_rate.measure(warehouse, NOW)
    success_rate.record(warehouse, measured)
    assert "no run ended in 7 days" in page.draw(measured)
    assert measured.headline.startswith("no scheduled run ended in 7 days")


def test_without_the_tables_of_tap_airflow_it_says_what_to_do(tmp_path):
    with pytest.raises(HealthError, match="run a job that loads tap-airflow"):
        success_rate.measure(Warehouse(f"duckdb:///{tmp_path / 'empty.duckdb'}"), NOW)


def test_100_percent_means_all():
    shares = (1, 0.9999, 0.995, 0)
    assert [*map(success_rate.percent, shares)] == ["100%", "99.9%", "99.5%", "0%"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(8, "8 s"), (90, "2 min"), (600, "10 min"), (5400, "1.5 h")]
)
def test_durations_are_said_as_a_person_says_them(seconds, said):
    assert page.duration(seconds) == said


@pytest.fixture
def loaded(file):
    """Tables as a loader with `add_record_metadata` leaves them, of three hours ago and empty."""
    columns = "(id int, _sdc_batched_at timestamptz)"
    file.run(f"create schema crm; create table crm.people {columns}")
    file.run(f"create table crm.nobody {columns}; create table crm.plain (id int)")
    file.run("insert into crm.people values (1, ?), (2, ?)", NOW - DAY, NOW - 3 * HOUR)
    return file


def test_tables_whose_newest_row_is_too_old_or_missing_are_named_all_at_once(loaded, warehouse):
    allowed = {"crm": 2 * 3600.0, "gone.table": 60.0}
    with pytest.raises(HealthError) as raised:
        freshness.check(warehouse, allowed, NOW)
    assert str(raised.value) == (
        "gone.table does not exist; crm.nobody is empty; "
        "crm.people was last loaded 3 h ago (allowed: 2 h)"
    )
    ages = loaded.run("select table_name, age_seconds from platform.freshness order by 1")
    assert ages == [("crm.nobody", None), ("crm.people", 3 * 3600)]


def test_what_may_be_as_old_as_it_is_may_also_be_empty_or_missing(loaded, warehouse):
    allowed = {"crm": math.inf, "gone": math.inf}
    assert freshness.check(warehouse, allowed, NOW) == "2 tables are fresh"


def test_a_table_goes_before_its_schema_and_what_is_fresh_is_counted(loaded, warehouse):
    loaded.run("insert into crm.nobody values (1, ?)", NOW)
    allowed = {"crm": 60.0, "crm.people": 4 * 3600.0}
    assert freshness.check(warehouse, allowed, NOW) == "2 tables are fresh"


def test_a_table_may_have_any_name(file, warehouse):
    file.run('create schema "order"; create table "order"."my-Table" (_sdc_batched_at timestamptz)')
    file.run('insert into "order"."my-Table" values (?)', NOW)
    assert freshness.check(warehouse, {"order.my-table": 60.0}, NOW) == "1 tables are fresh"


def test_where_no_loader_says_when_it_loaded_it_says_what_to_set(warehouse):
    with pytest.raises(HealthError, match="set add_record_metadata for the loader"):
        freshness.check(warehouse, {}, NOW)


def test_a_duration_that_is_none_is_refused_with_what_it_should_be(file):
    words = ["--warehouse-url", file.url, "freshness", "--max-age", '{"crm": "soon"}']
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "'soon' must be a duration such as 90m, 26h or 7d, or `never`" in done.output


@pytest.mark.parametrize(("text", "found"), [("90m", 5400), ("7d", 604800), ("never", math.inf)])
def test_durations_are_read(text, found):
    assert freshness.seconds(text) == found


def test_a_setting_that_lacks_is_named(file):
    done = CliRunner().invoke(cli, ["--warehouse-url", file.url, "success-rate"])
    assert str(done.exception).startswith("report_path is not set; set it to the path of the page")


@pytest.mark.parametrize("extractors", ["tap-crm", '"tap-crm"', "[1]"])
def test_extractors_that_are_no_list_are_refused_with_what_it_should_be(file, extractors):
    words = ["--warehouse-url", file.url, "row-counts", "--extractors", extractors]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert 'must be a JSON list of names, such as ["tap-crm"]' in done.output


def a_meltano(monkeypatch, folder, script):
    """Put a Meltano first on the PATH."""
    (folder / "meltano").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "meltano").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_what_is_no_singer_message_is_told(tmp_path, monkeypatch):
    a_meltano(monkeypatch, tmp_path, "echo hello")
    with pytest.raises(HealthError, match="the output of tap-crm is not a Singer message: hello"):
        [*meltano.messages("tap-crm")]


def test_old_backups_go_and_nothing_else_does(tmp_path, monkeypatch):
    a_meltano(monkeypatch, tmp_path, '[ "$2" = list ] && echo dev:a || echo "{}"')
    folder = UPath(tmp_path / "backups")
    (folder / "0 of mine").mkdir(parents=True)
    for day in range(3):
        state_backup.back_up(folder, 2, NOW + day * DAY)
    names = sorted(each.name for each in folder.iterdir())
    assert names == ["0 of mine", "2026-04-01T12-00-00Z", "2026-04-02T12-00-00Z"]


def test_half_a_backup_is_none(tmp_path, monkeypatch):
    a_meltano(monkeypatch, tmp_path, '[ "$2" = list ] && echo dev:a dev:b || [ "$4" = dev:a ]')
    with pytest.raises(HealthError, match="`meltano state get -- dev:b` failed"):
        state_backup.back_up(UPath(tmp_path / "backups"), 2, NOW)
    assert not (tmp_path / "backups").exists()


def test_a_page_that_cannot_be_written_is_one_line(file, tmp_path, monkeypatch, capsys):
    (tmp_path / "taken").touch()
    words = ["success-rate", "--report-path", str(tmp_path / "taken" / "page.html")]
    monkeypatch.setattr("sys.argv", ["platform-health", "--warehouse-url", file.url, *words])
    with pytest.raises(SystemExit, match="1"):
        main()
    [line] = capsys.readouterr().err.splitlines()
    assert "taken" in line


def test_rows_of_a_source_are_counted_by_their_keys_in_records_and_in_files(tmp_path):
    packed, plain = tmp_path / "1.gz", tmp_path / "2"
    packed.write_bytes(gzip.compress(b'{"id": 3}\n{"id": 4}\n'))
    plain.write_text('{"id": 4}\n{"id": 5}\n')
    batch = {"type": "BATCH", "stream": "keyed"}
    messages = [
        {"type": "SCHEMA", "stream": "keyed", "key_properties": ["id"]},
        {"type": "SCHEMA", "stream": "plain", "key_properties": []},
        {"type": "RECORD", "stream": "keyed", "record": {"id": 1}},
        {"type": "RECORD", "stream": "keyed", "record": {"id": 1}},
        {"type": "RECORD", "stream": "plain", "record": {"id": 1}},
        {"type": "RECORD", "stream": "plain", "record": {"id": 1}},
        {"type": "STATE", "value": {}},
        {**batch, "encoding": {"compression": "gzip"}, "manifest": [packed.as_uri()]},
        {**batch, "encoding": {"compression": "none"}, "manifest": [plain.as_uri()]},
    ]
    assert row_counts.count_streams(messages) == {"keyed": 4, "plain": 2}
    assert not packed.exists()


def test_figures_are_forgotten_in_time_and_nothing_else_is(file, warehouse):
    for at in (NOW - 500 * DAY, NOW):
        file.add_run("crm", "success", NOW - at)
        success_rate.record(warehouse, success_rate.measure(warehouse, at + HOUR))
    assert housekeeping.tidy(warehouse, 400, NOW) == "deleted 4 old measurements"
    assert file.run("select count(*) from platform.success_rate") == [(4,)]
    assert file.run("select count(*) from tap_airflow.dag_runs") == [(2,)]


def test_an_address_that_is_none_is_one_line(tmp_path):
    with pytest.raises(HealthError, match="warehouse_url is not a URL that SQLAlchemy supports"):
        Warehouse("nothing")


def test_the_settings_come_from_the_variables_of_meltano(file, tmp_path):
    report = tmp_path / "pages" / "page.html"
    environ = {
        "PLATFORM_HEALTH_WAREHOUSE_URL": file.url,
        "PLATFORM_HEALTH_REPORT_PATH": str(report),
        "PLATFORM_HEALTH_MAX_AGE": json.dumps({}),
    }
    done = CliRunner().invoke(cli, ["success-rate"], env=environ)
    assert (done.exit_code, done.output.partition(";")[2]) == (0, f" see {report}\n")
    assert report.read_text().startswith("<!doctype html>")
