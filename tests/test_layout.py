"""Where a test is says what it tests."""

import re

import pytest

from tests.support.known_races import KNOWN_RACES
from tests.support.running import CHECKOUT

TESTS = CHECKOUT / "tests"
UNIT = TESTS / "unit"
MODULES = sorted(str(file.relative_to(UNIT)) for file in UNIT.rglob("test_*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_a_unit_test_has_the_name_of_the_module_that_it_tests(module):
    folder, _, name = f"dag_factory/{module}".rpartition("/")
    tested = CHECKOUT / folder / name.removeprefix("test_")
    assert tested.is_file()


def test_each_test_of_a_known_race_exists():
    for test in (test for race in KNOWN_RACES for test in race.tests):
        file, _, name = test.partition("::")
        assert f"\ndef {name}(" in (CHECKOUT / file).read_text()


def test_the_readme_names_each_folder_and_no_other():
    text = (TESTS / "README.md").read_text()
    named = re.findall(r"^\| `([\w/]+)/", text, re.MULTILINE)
    there = {file.parent for file in TESTS.rglob("*.py")}
    top = {folder.relative_to(TESTS).parts[0] for folder in there if folder != TESTS}
    assert {name.partition("/")[0] for name in named} == top
    assert all((TESTS / name).is_dir() for name in named)
