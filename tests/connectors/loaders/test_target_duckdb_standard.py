"""The SDK's own suite for targets, and what the target says of itself."""

import pytest
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.testing import TargetTestRunner, get_target_test_class
from target_duckdb.target import TargetDuckDB

StandardTests = get_target_test_class(TargetDuckDB, config={"path": ":memory:"})


class TestStandard(StandardTests):
    """The SDK's own tests, which want their settings before there is a folder for the file."""

    @pytest.fixture
    def runner(self, tmp_path):
        config = {"path": str(tmp_path / "warehouse.duckdb"), "add_record_metadata": True}
        return TargetTestRunner(TargetDuckDB, config=config)


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
