import json

import pytest

from dag_factory.checks.reporting import FORMATS, as_text
from dag_factory.errors import Code, Location, Problem, ProjectError, shown
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.unit.test_secret_patterns import TOKENS

SECRET = "hunter2"  # noqa: S105 - not one


def project(config):
    return f"""
plugins:
  extractors:
  - name: tap-shop
    namespace: tap_shop
    settings: [{{name: region}}]
    config: {config}
environments: [{{name: dev}}]
default_environment: dev
"""


def other_problem(file, text):
    """Return a problem about something else on each line of a file."""
    for number, line in enumerate(text.splitlines(), start=1):
        for column in (1, len(line) // 2 + 1, len(line) + 1):
            place = Location(file, number, column)
            yield Problem(Code.UNKNOWN_ANNOTATIONS, place, "a key is not read", "remove it")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "config",
    [
        '{connection_string: "Server=db;Pwd=hunter2"}',
        '{dsn: "Server=db;Pwd=hunter2"}',
        "{api_token: hunter2}",
        "{password: [hunter2]}",
        "{url: 'https://me:hunter2@example.com/x'}",
        "{args: init --password hunter2}",
        "{url: 'https://example.com/a?token=hunter2'}",
        "{password: a-b, api_auth: hunter2}",
        "{password: a-b, refresh_tokens: [hunter2]}",
    ],
)
def test_a_secret_is_masked_in_every_problem_of_its_line(tmp_path, form, config):
    file = tmp_path / "meltano.yml"
    file.write_text(project(config))
    _, found = plans_and_problems(Settings(tmp_path))
    assert Code.PLAINTEXT_SECRET in [each.code for each in found]
    others = [*other_problem(file, file.read_text())]
    assert SECRET not in FORMATS[form]([*found, *others], tmp_path)
    assert SECRET not in FORMATS[form](others, tmp_path)


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_token_is_masked_whatever_the_line_says(tmp_path, token):
    file = tmp_path / "meltano.yml"
    text = project("{note: " + json.dumps(f"see {token}") + "}")
    file.write_text(text)
    assert token.splitlines()[0] not in as_text(other_problem(file, text), tmp_path)


def test_a_declared_secret_without_a_telling_name_is_masked(tmp_path):
    file = tmp_path / "meltano.yml"
    text = project("{region: hunter2}").replace("name: region", "name: region, kind: password")
    file.write_text(text)
    _, found = plans_and_problems(Settings(tmp_path))
    assert Code.PLAINTEXT_SECRET in [each.code for each in found]
    assert SECRET not in as_text([*found, *other_problem(file, text)], tmp_path)


def test_a_secret_that_a_message_quotes_is_masked(tmp_path):
    place = Location(tmp_path / "meltano.yml")
    message = "the task 'init --password hunter2' must be a block"
    problem = Problem(Code.INVALID_TASKS, place, message, "see https://me:hunter2@example.com")
    for show in FORMATS.values():
        shown = show([problem], tmp_path)
        assert SECRET not in shown
        assert "***" in shown


def test_a_line_without_a_secret_is_shown_whole(tmp_path):
    file = tmp_path / "meltano.yml"
    file.write_text("jobs: [{name: load, tasks: [tap-a target-b]}]\n")
    problem = Problem(Code.UNKNOWN_PLUGIN, Location(file, 1, 30), "no plugin", "add it")
    assert file.read_text().strip() in as_text([problem], tmp_path)


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_value_that_a_message_shows_is_masked_before_it_is_shortened(token):
    assert token[:12] not in shown(f"call --with {token}")


def test_a_value_is_masked_by_its_name_in_a_mapping():
    assert shown({"password": SECRET, "user": "me"}) == "{'password': '***', 'user': 'me'}"


def test_the_import_error_in_airflow_masks_what_a_message_quotes(tmp_path):
    place = Location(tmp_path / "meltano.yml")
    problem = Problem(
        Code.INVALID_TASKS, place, "the task 'x --password hunter2' is wrong", "fix it"
    )
    assert SECRET not in str(ProjectError([problem], tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "jobs: [{name: load, tasks: [{tap-a: {password: hunter2}}]}]",
        "schedules: [{name: s, interval: '@daily', job: {password: hunter2}}]",
        f"jobs: [{{name: load, tasks: [[tap-a, {TOKENS['a token of GitLab']}, 5]]}}]",
    ],
)
def test_no_problem_shows_a_secret_in_a_part_of_the_project(write_project, text):
    _, found = plans_and_problems(Settings(write_project(text + "\n")))
    messages = " ".join(each.message + each.hint for each in found)
    assert found
    assert SECRET not in messages
    assert TOKENS["a token of GitLab"][-8:] not in messages
