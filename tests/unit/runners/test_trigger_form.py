"""The trigger form, and what its values become."""

import json
from dataclasses import replace

import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from dag_factory.airflow.arguments import WrongArgumentError
from dag_factory.airflow.build import build_dag
from dag_factory.options.catalog import DagOptions
from dag_factory.planning.plan import SchedulePlan, TaskKind
from dag_factory.runners.trigger_form import (
    chosen_streams,
    chosen_variables,
    default_variables,
    form,
    unknown_field,
)
from tests.support.plans import PLAN

OWN = {
    "SHOP_REGION": {"type": "string", "title": "Region", "enum": ["eu", "us"]},
    "SHOP_DAYS": {"type": "integer", "default": 3, "minimum": 1},
    "SHOP_NOTE": {"type": "string"},
    "SHOP_DRY": {"type": "boolean", "default": False},
}
JOB = replace(PLAN, options=DagOptions(params=OWN))
INJECTIONS = ["; rm -rf /", "$(id)", "`id`", "a'b\"c", "--full-refresh", "{{ conn.x }}", "a|b & c"]


def values(plan=JOB, **chosen):
    """Return what a run's `params` hold, as the API would check them."""
    params = ParamsDict(form(plan))
    params.update(chosen)
    return params.validate()


def test_the_defaults_change_nothing_but_the_jobs_own():
    assert chosen_variables(PLAN, values(PLAN)) == {}
    assert chosen_variables(JOB, values()) == {}
    assert default_variables(JOB) == {"SHOP_DAYS": "3", "SHOP_DRY": "false"}


def test_every_field_says_what_it_is_and_what_it_takes():
    nightly = SchedulePlan("nightly", "0 0 * * *", "UTC", {"FULL": "1"})
    fields = form(replace(JOB, schedules=(nightly,)))
    own = [fields.pop(name) for name in OWN]
    titles = [each.schema["title"] for each in own]
    assert titles == ["Region", "SHOP_DAYS", "SHOP_NOTE", "SHOP_DRY"]
    for name, field in fields.items():
        assert field.schema["title"], name
        assert field.description.endswith("."), name
    assert {name: field.schema["type"] for name, field in fields.items()} == {
        "schedule": "string",
        "full_refresh": ["null", "boolean"],
        "refresh_catalog": ["null", "boolean"],
        "no_state_update": ["null", "boolean"],
        "state_id_suffix": ["null", "string"],
        "state_strategy": "string",
        "select_tap_a": ["null", "array"],
        "log_level": "string",
        "dry_run": ["null", "boolean"],
    }


@pytest.mark.parametrize(
    ("field", "value", "variable", "text"),
    [
        ("full_refresh", True, "MELTANO_RUN_FULL_REFRESH", "true"),
        ("refresh_catalog", True, "MELTANO_RUN_REFRESH_CATALOG", "true"),
        ("no_state_update", True, "MELTANO_RUN_NO_STATE_UPDATE", "true"),
        ("state_id_suffix", "try-2", "MELTANO_RUN_STATE_ID_SUFFIX", "try-2"),
        ("state_strategy", "merge", "MELTANO_RUN_STATE_STRATEGY", "merge"),
        ("select_tap_a", ["users", "!x*"], "TAP_A__SELECT_FILTER", '["users", "!x*"]'),
        ("log_level", "debug", "MELTANO_CLI_LOG_LEVEL", "debug"),
        ("SHOP_REGION", "us", "SHOP_REGION", "us"),
        ("SHOP_DAYS", 7, "SHOP_DAYS", "7"),
        ("SHOP_DRY", True, "SHOP_DRY", "true"),
    ],
)
def test_each_field_becomes_a_variable(field, value, variable, text):
    assert chosen_variables(JOB, values(**{field: value}))[variable] == text


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_text_is_a_value_whatever_it_looks_like(text):
    found = chosen_variables(JOB, values(SHOP_NOTE=text, select_tap_a=[text]))
    assert found["SHOP_NOTE"] == text
    assert json.loads(found["TAP_A__SELECT_FILTER"]) == [text]


@pytest.mark.parametrize(
    "chosen",
    [
        {"full_refresh": "yes"},
        {"log_level": "loud"},
        {"state_strategy": "append"},
        {"state_id_suffix": "a:b"},
        {"state_id_suffix": "--x"},
        {"state_id_suffix": "a\nb"},
        {"state_id_suffix": "a\n"},
        {"SHOP_NOTE": "a\n"},
        {"state_id_suffix": ""},
        {"select_tap_a": "users"},
        {"select_tap_a": ["a\0b"]},
        {"select_tap_a": ["a\nb"]},
        {"SHOP_REGION": "asia"},
        {"SHOP_DAYS": 0},
        {"SHOP_DAYS": "3"},
        {"SHOP_NOTE": "a\0b"},
        {"SHOP_NOTE": "a\nb"},
        {"SHOP_DRY": 1},
    ],
)
def test_what_does_not_fit_is_refused(chosen):
    with pytest.raises(ParamValidationError):
        values(**chosen)


def test_a_field_that_there_is_not_is_told():
    assert unknown_field(JOB, {"full_refresh": True, "SHOP_DAYS": 1}) is None
    said = unknown_field(JOB, {"full_refersh": True})
    assert said == "the form has no field 'full_refersh'; did you mean 'full_refresh'?"


def test_what_is_no_field_is_not_read():
    assert chosen_variables(PLAN, {"PATH": "/x", "MELTANO_ENVIRONMENT": "prod"}) == {}


def test_streams_that_are_chosen_by_their_whole_names_are_known():
    task = PLAN.tasks[0]
    chosen = values(PLAN, select_tap_a=["orders", "cust*", "!returns", "items"])
    assert [*chosen_streams(task, chosen)] == ["orders", "items"]
    assert [*chosen_streams(task, values(PLAN))] == []


def test_a_job_that_moves_no_data_has_no_fields_for_that():
    plan = replace(PLAN, tasks=PLAN.tasks[1:])
    assert list(form(plan)) == ["log_level"]


def test_a_schedule_of_the_older_form_has_what_its_command_takes():
    task = replace(PLAN.tasks[0], kind=TaskKind.ELT)
    plan = replace(PLAN, tasks=(task,))
    assert list(form(plan)) == ["full_refresh", "select_tap_a", "log_level"]


def test_a_run_by_hand_can_have_the_variables_of_a_schedule():
    nightly = SchedulePlan("nightly", "0 0 * * *", "UTC", {"FULL": "1"})
    plan = replace(PLAN, schedules=(nightly, replace(nightly, name="plain", env={})))
    assert form(plan)["schedule"].schema["enum"] == ["no schedule", "nightly"]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"default": "many"}, "params: DAYS: 'many' is not of type 'integer'"),
        ({"minimum": "few"}, "params: DAYS: 'few' is not of type 'number'"),
    ],
)
def test_a_default_or_schema_that_does_not_fit_is_named(tmp_path, schema, message):
    wrong = {"DAYS": {"type": "integer", **schema}}
    with pytest.raises(WrongArgumentError, match=message):
        build_dag(replace(PLAN, options=DagOptions(params=wrong)), tmp_path)
