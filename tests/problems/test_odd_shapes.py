"""Whatever stands wherever in a project: problems, and never a traceback."""

import json
import random
from datetime import UTC, datetime

import pytest
import yaml

from dag_factory.checks.reporting import FORMATS
from dag_factory.cli.graph import as_mermaid
from dag_factory.cli.listing import dag_rows, dag_table, describe_dag, meltano_listing
from dag_factory.project.model import read_project
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems

PROJECT = yaml.safe_load("""
default_environment: dev
requires_meltano: ">=4"
env: {A: b}
annotations: {airflow: {owner: x, tags: [a]}}
state_backend: {s3: {aws_secret_access_key: $KEY}}
environments:
- name: dev
  state_id_suffix: x
  env: {A: b}
  annotations: {another: {}}
  config: {plugins: {extractors: [{name: tap-a, config: {password: $X}, env: {A: b}}]}}
- name: prod
plugins:
  extractors:
  - name: tap-a
    namespace: a
    variant: v
    capabilities: [catalog]
    requires: {files: [{name: f}]}
    settings: [{name: password, kind: password, aliases: [pw], value: $X}]
    config: {password: $X, url: "https://a:b@c"}
    env: {A_PASSWORD: $Z}
    commands: {run: {args: x, description: d}}
  - {name: tap-b, inherit_from: tap-a}
  loaders: [{name: target-x, variant: x}]
  mappers: [{name: m, namespace: m, mappings: [{name: hide, config: {}}]}]
  utilities: [{name: dbt, namespace: d, commands: {run: r}}]
jobs:
- name: j
  tasks: [tap-a hide target-x, [dbt:run, dbt], tap-b, target-x]
  annotations:
    airflow:
      {retries: 1, retry_delay: 5m, timezone: Asia/Tokyo, environments: [dev], paused: false}
- name: pods
  tasks: [tap-b target-x]
  annotations:
    airflow:
      runner: kubernetes
      image: meltano:1
      resources: {requests: {cpu: 1}, limits: {cpu: 2}}
      pod_override:
        metadata: {labels: {a: b}}
        spec:
          containers: [{name: base, resources: {claims: [{name: c}]}, env: [{name: A, value: b}]}]
schedules:
- {name: s, job: j, interval: "@daily", env: {A: b}, annotations: {airflow: {timezone: UTC}}}
- {name: o, extractor: tap-a, loader: target-x, transform: skip, interval: 0 0 * * *}
""")
ODD = (
    *(
        None,
        True,
        5,
        -1,
        1.5,
        "",
        " ",
        "text",
        "a b",
        "a\nb",
        "x:y",
        "\0",
        "$X",
        "${",
        "*",
        "-",
        "/",
    ),
    *(
        "..",
        "../..",
        "@daily",
        "9" * 30,
        "a" * 3000,
        "\U0001f680",
        [],
        ["a"],
        [["a"]],
        [None],
        [{}],
    ),
    *({}, {"a": "b"}, {5: 6}, {None: None}, {"a": [1]}, [{"name": "x"}], [{"name": None}], [5]),
    *([{"name": ["x"]}], [{"name": {"a": 1}}], {"airflow": {"retries": []}}, {"<<": 1}),
)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


def replaced(value, path, odd):
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


def look_at_everything(root):
    plans, problems = plans_and_problems(Settings(root, "dev"))
    for form in FORMATS.values():
        form(problems, root)
    json.dumps(dag_rows(plans))
    dag_table(plans)
    as_mermaid(plans)
    for plan in plans:
        describe_dag(plan, datetime.now(UTC))
    json.dumps(meltano_listing(read_project(root)[0]))


@pytest.mark.parametrize(("included", "few"), [(False, 1000), (True, 300)])
def test_nothing_odd_is_a_traceback(tmp_path, included, few):
    cases = [(path, odd) for path in places(PROJECT) for odd in ODD]
    for path, odd in random.Random(1).sample(cases, few):  # noqa: S311 - the same each time
        project = replaced(PROJECT, path, odd)
        file = tmp_path / ("more.yml" if included else "meltano.yml")
        file.write_text(yaml.dump(project, Dumper=yaml.CSafeDumper))
        if included:
            (tmp_path / "meltano.yml").write_text("include_paths: [more.yml]\n")
        try:
            look_at_everything(tmp_path)
        except Exception as error:
            error.add_note(f"with {odd!r} at {path}")
            raise


@pytest.mark.parametrize("lock", ["[" * 100_000, "{", "5", '"x"', "\ufeff{}", '{"settings": 5}'])
def test_no_lock_file_is_a_traceback(tmp_path, lock):
    file = tmp_path / "plugins/extractors/tap-a--v.lock"
    file.parent.mkdir(parents=True)
    file.write_text(lock, encoding="utf-8")
    plugins = {"extractors": [{"name": "tap-a", "variant": "v"}]}
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(PROJECT | {"plugins": plugins}))
    look_at_everything(tmp_path)


def test_many_and_long_are_no_matter(tmp_path):
    """By whole seconds where it was quadratic; the limit of the run itself would stop it."""
    names = [f"tap-{number}" for number in range(600)]
    chain = [{"name": "tap-", "namespace": "n"}]
    chain += [
        {"name": each, "inherit_from": names[n - 1] if n else "tap-"}
        for n, each in enumerate(names)
    ]
    address = "a.b+" * 100_000 + "://"
    jobs = [{"name": f"j{n}", "tasks": ["tap-0 target-x"]} for n in range(600)]
    plugins = {"extractors": chain, "loaders": [{"name": "target-x", "namespace": "x"}]}
    project = {"environments": [{"name": "dev"}], "plugins": plugins, "jobs": jobs, "x": address}
    (tmp_path / "meltano.yml").write_text(json.dumps(project))
    look_at_everything(tmp_path)
