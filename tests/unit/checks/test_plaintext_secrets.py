import json

import pytest

from dag_factory.checks.reporting import FORMATS
from dag_factory.cli.main import main
from dag_factory.errors import Code
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems

PLUGIN = """
default_environment: dev
plugins:
  extractors:
  - name: tap-shop
    namespace: tap_shop
    settings: [{name: auth.password, kind: password}, {name: user}]
"""


def found(write_project, text, plugins=PLUGIN):
    if "environments:" not in text:
        plugins += "environments: [{name: dev}]\n"
    _, problems = plans_and_problems(Settings(write_project(text, plugins=plugins)))
    return [(each.code, each.location.line) for each in problems]


@pytest.mark.parametrize(
    "config",
    [
        "{auth: {password: hunter2}}",
        "{auth.password: hunter2}",
        "{auth.password: 12345}",
        "{url: 'https://me:hunter2@example.com/x'}",
        "{nested: {list: ['postgresql://u:p@h/d']}}",
        "{auth.password: [hunter2]}",
        "{auth.password: {ours: hunter2}}",
        "{api_token: hunter2}",
        "{user: a8f5f167f44f4964e6c998dee827110c}",
    ],
)
def test_a_secret_in_clear_is_found_in_config(write_project, config):
    plugins = PLUGIN + f"    config: {config}\n"
    assert found(write_project, "", plugins) == [(Code.PLAINTEXT_SECRET, 8)]


@pytest.mark.parametrize(
    "config",
    [
        "{auth: {password: $SHOP_PASSWORD}}",
        "{auth.password: '${SHOP_PASSWORD}'}",
        "{auth.password: ''}",
        "{auth.password: null}",
        "{auth.password: <password>}",
        "{auth.password: changeme}",
        "{auth.password: {ours: $SHOP_PASSWORD}}",
        "{token_url: hunter2}",
        "{user: me}",
        "{url: 'https://me:${TOKEN}@example.com'}",
        "{url: 'https://example.com/a:b@c'}",
        "{mail: 'mailto:me@example.com'}",
    ],
)
def test_references_and_what_is_no_secret_are_left_alone(write_project, config):
    assert found(write_project, "", PLUGIN + f"    config: {config}\n") == []


IN_ENVIRONMENT = "{plugins: {extractors: [{name: tap-shop, config: {auth.password: hunter2}}]}}"


@pytest.mark.parametrize(
    "text",
    [
        "env: {TAP_SHOP_AUTH_PASSWORD: hunter2}",
        "environments: [{name: dev, env: {TAP_SHOP_AUTH_PASSWORD: hunter2}}]",
        "database_uri: postgresql://me:hunter2@host/db",
        f"environments: [{{name: dev, config: {IN_ENVIRONMENT}}}]",
        "address: git+https://ghp_token@github.com/a/b",
    ],
)
def test_a_secret_in_clear_is_found_elsewhere(write_project, text):
    assert found(write_project, text + "\n") == [(Code.PLAINTEXT_SECRET, 1)]


def test_a_secret_in_the_env_of_a_schedule_is_found(write_project):
    text = """
    jobs: [{name: j, tasks: []}]
    schedules:
    - {name: s, job: j, interval: '@daily', env: {TAP_SHOP_AUTH_PASSWORD: hunter2}}
    """
    assert (Code.PLAINTEXT_SECRET, 4) in found(write_project, text)


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("$OTHER", [Code.OVERRIDDEN_SECRET]),
        ("''", [Code.OVERRIDDEN_SECRET]),
        ("$TAP_SHOP_AUTH_PASSWORD", []),
    ],
)
def test_env_that_overrides_a_secret_is_found(write_project, value, codes):
    text = f"env: {{TAP_SHOP_AUTH_PASSWORD: {value}}}\n"
    assert [code for code, _ in found(write_project, text)] == codes


EVERYWHERE = """
database_uri: postgresql://me:hunter2-1@example.com/d
state_backend.s3.aws_secret_access_key: hunter2-2
env: {SHOP_TOKEN: hunter2-3}
include_paths: [more.yml]
default_environment: dev
environments:
- name: dev
  env: {SHOP_TOKEN: hunter2-4}
  config:
    plugins:
      extractors:
      - name: tap-shop
        config: {api_key: hunter2-5}
        env: {SHOP_TOKEN: hunter2-6}
plugins:
  extractors:
  - name: tap-shop
    namespace: tap_shop
    pip_url: tap-shop --index-url https://ci:hunter2-7@example.com/simple
    settings:
    - {name: token, value: hunter2-8}
    - {name: pin, kind: password}
    env: {SHOP_TOKEN: hunter2-9}
    config: {headers: [{Authorization: Bearer hunter2-10}]}
  - name: tap-shop-eu
    inherit_from: tap-shop
    config: {pin: hunter2-11}
  mappers:
  - name: mapper
    namespace: mapper
    mappings: [{name: hide, config: {hash_secret: hunter2-12}}]
  utilities:
  - name: tool
    namespace: tool
    commands:
      login: login --password hunter2-13
      logout: {args: 'logout --token=hunter2-14', container_spec: {env: {PGPASSWORD: hunter2-15}}}
annotations:
  airflow:
    notify: [{class: a.b.C, kwargs: {token: hunter2-16}}]
    pod_override: {spec: {containers: [{name: base, env: [{name: A_TOKEN, value: hunter2-17}]}]}}
    dag: {default_args: {password: hunter2-18}}
jobs:
- name: j
  tasks: ['tool:login']
  annotations:
    airflow:
      params: {SHOP_SECRET: {type: string, default: hunter2-19}}
      operator: {env: {api_key: hunter2-20}}
      tasks: {tool.login: {operator: {token: hunter2-21}}}
    other: {api_key: hunter2-22}
schedules:
- name: s
  job: j
  interval: '@daily'
  env: {SHOP_TOKEN: hunter2-23}
"""
INCLUDED = """
plugins:
  extractors:
  - name: tap-other
    namespace: tap_other
    pip_url: https://example.com/tap.zip?token=hunter2-24
"""


def everything(write_project):
    settings = Settings(write_project(EVERYWHERE, plugins="", more=INCLUDED))
    _, found = plans_and_problems(settings)
    problems = [each for each in found if each.code is Code.PLAINTEXT_SECRET]
    return settings, problems


def test_secrets_are_found_wherever_they_can_stand(write_project):
    _, problems = everything(write_project)
    lines = [
        (each.location.file.name, each.location.file.read_text().splitlines()) for each in problems
    ]
    places = {
        (name, number)
        for name, text in lines
        for number, line in enumerate(text, 1)
        if "hunter2-" in line
    }
    assert {(each.location.file.name, each.location.line) for each in problems} == places
    assert len(problems) == EVERYWHERE.count("hunter2-") + INCLUDED.count("hunter2-")


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_said_of_secrets_does_not_hold_them(write_project, form):
    settings, problems = everything(write_project)
    said = FORMATS[form](problems, settings.project_root)
    assert said.count("MDF050") >= len(problems) > 20
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "text",
    [
        "note:\n- glpat-{}\n",
        "note: [a, glpat-{}]\n",
        "? api_key\n: glpat-{}\n",
        '"api_key": "glpat-{}"\n',
        "api_key: >\n  glpat-{}\n",
        "note: {{api_key: glpat-{}, other: x}}\n",
    ],
)
def test_the_line_of_a_secret_is_shown_without_it(write_project, capsys, text):
    secret = "a1B2" * 5
    root = write_project(text.format(secret), plugins=f"{PLUGIN}environments: [{{name: dev}}]\n")
    assert main(["check", "--project", str(root)]) == 1
    said = capsys.readouterr().out
    assert "MDF050" in said
    assert "***" in said
    assert secret not in said


@pytest.mark.parametrize(
    "text",
    [
        "metadata: {users: {password: {selected: false}, token: automatic}}",
        "schema: {users: {password: {type: string}}}",
        "select: [users.password]",
        "config: {stream_maps: {users: {password: md5(password)}}}",
        "settings: [{name: token, kind: string, label: Token, description: a token of the shop}]",
        "annotations: {x: {env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}]}}",
    ],
)
def test_what_is_said_of_columns_and_names_of_secrets_is_left_alone(write_project, text):
    plugins = f"{PLUGIN.replace('settings', 'vars')}    {text}\n"
    assert Code.PLAINTEXT_SECRET not in [code for code, _ in found(write_project, "", plugins)]


def test_a_secret_that_stands_once_is_said_once(write_project):
    text = "env: &env {SHOP_TOKEN: hunter2}\nother: *env\nschedules: []\n"
    assert found(write_project, text) == [(Code.PLAINTEXT_SECRET, 1)]


def test_a_comment_silences_a_secret(write_project):
    text = """
    database_uri: postgresql://me:hunter2@localhost/d  # meltano-dags: ignore MDF050
    env:
      SHOP_TOKEN: hunter2  # meltano-dags: ignore MDF050
      TAP_SHOP_AUTH_PASSWORD: hunter2  # meltano-dags: ignore MDF050
      OTHER_TOKEN: hunter2  # meltano-dags: ignore MDF051
    """
    assert found(write_project, text) == [(Code.PLAINTEXT_SECRET, 6)]


def test_a_secret_fails_the_check_and_takes_no_dag_away(write_project, capsys):
    text = "env: {SHOP_TOKEN: hunter2}\njobs: [{name: j, tasks: [dbt]}]\n"
    root = write_project(text)
    assert main(["check", "--project", str(root)]) == 1
    assert capsys.readouterr().out.endswith("\n1 DAG, 1 problem, no warnings\n")
    assert main(["check", "--project", str(root), "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error ")
    assert main(["check", "--project", str(root), "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["severity"], row["fails_check"]) == ("warning", True)
    assert main(["list", "--project", str(root)]) == 0
    planned = read_and_plan(Settings(root))
    assert [plan.job for plan in planned.plans] == ["j"]
    assert planned.problems == ()


def test_what_to_do_with_a_secret_depends_on_where_it_stands(write_project):
    _, problems = everything(write_project)
    hints = {each.location.line: each.hint.partition(";")[0] for each in problems}
    lines = {
        line.partition("hunter2-")[2][:2]: n for n, line in enumerate(EVERYWHERE.split("\n"), 1)
    }
    assert hints[lines["10"]] == "replace the secret with a variable such as ${TOKEN}"
    assert hints[lines["17"]] == "move it to an Airflow connection or a Kubernetes Secret"
    for_meltano = (
        "take it out of the file, and set the environment variable SHOP_TOKEN where Meltano runs"
    )
    assert hints[lines["23"]] == for_meltano
