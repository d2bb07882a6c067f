from importlib.resources import files

import pytest
from ruamel.yaml import YAML

from dag_factory.errors import Code
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems


def unread(root):
    problems = plans_and_problems(Settings(root))[1]
    return [(each.location.line, each.hint) for each in problems if each.code is Code.UNREAD_KEY]


@pytest.mark.parametrize(
    ("key", "meant"),
    [("schedule", "schedules"), ("schedlues", "schedules"), ("job", "jobs")],
)
def test_a_misspelt_key_at_the_top_is_named(write_project, key, meant):
    root = write_project(f"{key}: []\n", plugins="environments: [{name: dev}]\n")
    assert unread(root) == [(1, f"did you mean {meant!r}?")]


def test_a_key_that_another_file_has_may_be_misspelt_here(write_project):
    root = write_project("schedule: []\ninclude_paths: [more.yml]\n", more="schedules: []\n")
    assert unread(root) == [(1, "did you mean 'schedules'?")]


def test_no_setting_of_meltanos_own_is_taken_for_a_misspelt_key(write_project):
    text = (files("meltano.core.bundle") / "settings.yml").read_text()
    names = {each["name"].partition(".")[0] for each in YAML(typ="safe").load(text)["settings"]}
    root = write_project("".join(f"{name}: {{}}\n" for name in sorted(names)), plugins="")
    assert unread(root) == []


def test_misspelt_keys_of_plugins_and_schedules_are_named(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: s, job: j, interval: '@daily', enviroment: x, envs: {}}
        """,
        more="plugins: {extractors: [{name: tap, inherits_from: x, confg: {}}]}\n",
    )
    (root / "meltano.yml").write_text(
        (root / "meltano.yml").read_text() + "include_paths: [more.yml]\n"
    )
    assert [hint for _, hint in unread(root)] == [
        "did you mean 'env'?",
        "did you mean 'inherit_from'?",
        "did you mean 'config'?",
    ]


def test_an_option_that_stands_on_the_schedule_itself_is_named(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: s, job: j, interval: '@daily', timezone: Asia/Tokyo}
        """
    )
    assert unread(root) == [(4, "write annotations: {airflow: {timezone: ...}}")]
