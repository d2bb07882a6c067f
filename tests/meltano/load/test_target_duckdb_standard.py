"""The SDK's own suite for targets, and what the target says of itself."""

import pytest
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.testing import get_target_test_class
from target_duckdb.target import TargetDuckDB


@pytest.fixture(scope="class")
def resource(tmp_path_factory):
    # The suite takes its settings before there is a tmp_path: it is given the folder here.
    CONFIG["path"] = str(tmp_path_factory.mktemp("standard") / "warehouse.duckdb")


CONFIG: dict = {"path": "set by the fixture", "add_record_metadata": True}

TestStandard = get_target_test_class(TargetDuckDB, config=CONFIG)


def test_without_a_path_the_settings_are_refused():
    with pytest.raises(ConfigValidationError) as refused:
        TargetDuckDB(config={})
    assert refused.value.errors == ["'path' is a required property"]


def test_a_misspelt_load_method_is_refused(tmp_path):
    with pytest.raises(ConfigValidationError):
        TargetDuckDB(config={"path": str(tmp_path / "w.duckdb"), "load_method": "upsort"})


def test_upsert_and_ten_minutes_of_patience_are_the_defaults(tmp_path):
    target = TargetDuckDB(config={"path": str(tmp_path / "w.duckdb")})
    assert target.config["load_method"] == "upsert"
    assert target.config["lock_timeout"] == 600


def test_nothing_is_opened_before_the_first_message(tmp_path):
    TargetDuckDB(config={"path": str(tmp_path / "new" / "w.duckdb")})
    assert list(tmp_path.iterdir()) == []
