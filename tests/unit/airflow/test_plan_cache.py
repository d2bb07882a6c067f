import json
import os
from dataclasses import replace

import pytest

from dag_factory.airflow import plan_cache
from dag_factory.errors import Code
from dag_factory.planning.planned_project import PlannedProject, read_and_plan
from dag_factory.planning.secret_names import SecretName
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems

GOOD = """
include_paths: [more/*.yml]
annotations: {airflow: {tags: [a], execution_timeout: 90m, timezone: Europe/Prague}}
jobs:
- {name: j, tasks: [tap-a target-x, 'dbt:run']}
- {name: bad, tasks: [dbtt]}
schedules:
- {name: s, job: j, interval: '@daily', env: {A: b}}
"""


@pytest.fixture
def settings(write_project, tmp_path_factory):
    return Settings(write_project(GOOD), state_dir=tmp_path_factory.mktemp("state") / "new")


def recall(settings, keep=True):
    recalled = plan_cache.recall_plans(settings, keep=keep)
    return recalled.plans, recalled.problems


def test_recalled_plans_equal_those_read_from_the_project(settings):
    fresh = plans_and_problems(settings)
    assert recall(settings) == fresh
    assert recall(settings) == fresh
    assert recall(replace(settings, state_dir=None)) == fresh


def test_every_kind_of_option_is_recalled_as_it_was(write_project, tmp_path):
    root = write_project(
        """
        jobs:
        - name: j
          tasks: [tap-a target-x, 'dbt:run']
          annotations:
            airflow:
              after: {any: [other, k]}
              start_date: 2026-01-31
              deadline: 2h
              email: a@example.com
              notify: [{class: a.b.C, kwargs: {x: [1, {y: null}]}, events: [retry]}]
              params: {REGION: {type: string, enum: [eu, us], default: eu}}
              dag: {dagrun_timeout: 2h, fail_fast: true}
              expect: {rows: {min: 1}, max_age: 26h, streams: {s: {max_age: 90m}}}
              image: meltano:1.4.2
              deferrable: true
              resources: {requests: {cpu: 1}, limits: {memory: 1Gi}}
              service_account: meltano
              node_selector: {disk: ssd}
              tolerations: [{key: spot, operator: Exists, tolerationSeconds: 5}]
              pod_override: {spec: {hostname: null, containers: [{name: base, env: [{name: A}]}]}}
              tasks: {dbt.run: {retry_exponential_backoff: 1.5, operator: {depends_on_past: true}}}
        - {name: k, tasks: [dbt]}
        - name: other
          tasks: [dbt]
          annotations: {airflow: {start_date: '2026-01-31T06:00+01:00'}}
        """
    )
    settings = Settings(root, state_dir=tmp_path / "state")
    fresh = plans_and_problems(settings)
    assert len(fresh[0]) == 3
    assert recall(settings) == recall(settings) == fresh


def test_the_state_dag_is_recalled_too_and_stays_if_the_project_is_unreadable(settings):
    state = read_and_plan(settings).state_plan
    assert state.dag_id == "meltano_state"
    for keep in (True, False):
        assert plan_cache.recall_plans(settings, keep=keep).state == state
    (settings.project_root / "meltano.yml").write_text("[")
    assert plan_cache.recall_plans(settings, keep=True).state == state


def test_each_loader_file_has_plans_of_its_own(settings):
    prefixed = replace(settings, dag_id_prefix="a_")
    for _ in range(2):
        assert [plan.dag_id for plan in recall(settings)[0]] == ["j"]
        assert [plan.dag_id for plan in recall(prefixed)[0]] == ["a_j"]


def test_an_unchanged_project_is_not_read_again(settings, monkeypatch):
    recall(settings)
    monkeypatch.setattr(plan_cache, "read_and_plan", None)
    assert recall(settings)[0]


@pytest.mark.parametrize("file", ["meltano.yml", "more/jobs.yml", "plugins/utilities/dbt--v.lock"])
def test_every_file_that_was_read_counts(settings, file):
    root = settings.project_root
    (root / "more").mkdir()
    (root / "more/jobs.yml").write_text("jobs: []\n")
    recall(settings)
    changed = root / file
    changed.parent.mkdir(parents=True, exist_ok=True)
    text = changed.read_text() if changed.exists() else "{}"
    changed.write_text(text.replace("jobs: []", "jobs: [{name: new, tasks: [dbt]}]") + "# more\n")
    digests = [json.loads(each.read_text())["files"] for each in settings.state_dir.iterdir()]
    assert recall(settings) == plans_and_problems(settings)
    assert digests != [json.loads(e.read_text())["files"] for e in settings.state_dir.iterdir()]


def test_the_last_good_plan_stays_if_the_project_is_unreadable(settings):
    good, _ = recall(settings)
    (settings.project_root / "meltano.yml").write_text("jobs:\n- {name: @j\n")
    plans, (problem,) = recall(settings)
    assert plans == good
    assert (problem.code, problem.location.line) == (Code.UNREADABLE_FILE, 2)
    assert recall(settings, keep=False)[0] == good


def test_without_a_last_good_plan_the_readable_jobs_are_used(write_project, tmp_path):
    root = write_project("jobs: [{name: j, tasks: [dbt]}, {name: extra, tasks: [], env: {}}]\n")
    plans, (problem,) = recall(Settings(root, state_dir=tmp_path / "state"))
    assert [each.job for each in plans] == ["j"]
    assert problem.code is Code.WRONG_SHAPE


def test_a_fixed_project_becomes_the_last_good_one(settings):
    file = settings.project_root / "meltano.yml"
    text = file.read_text()
    recall(settings)
    file.write_text("[")
    recall(settings)
    file.write_text(text.replace("name: j,", "name: k,").replace("job: j", "job: k"))
    recall(settings)
    file.write_text("[")
    assert [each.job for each in recall(settings)[0]] == ["k"]


def test_a_worker_writes_nothing(settings):
    recall(settings, keep=False)
    assert not settings.state_dir.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"plans": 1}', b"\xff"])
def test_a_damaged_file_is_ignored(settings, content):
    fresh = recall(settings)
    for file in settings.state_dir.iterdir():
        file.write_bytes(content)
    assert recall(settings) == fresh


def test_another_version_of_this_package_reads_the_project_again(settings, monkeypatch):
    recall(settings)
    monkeypatch.setattr(plan_cache, "_code_digest", lambda: "other")
    monkeypatch.setattr(plan_cache, "read_and_plan", lambda _: PlannedProject(None))
    assert recall(settings) == ((), ())


def test_a_fixed_include_is_noticed(settings):
    included = settings.project_root / "more/jobs.yml"
    included.parent.mkdir()
    for text, jobs in [
        ("jobs: [{name: k, tasks: [dbt]}]\n", ["j", "k"]),
        ("jobs: [\n", ["j", "k"]),
        ("jobs: [{name: l, tasks: [dbt]}]\n", ["j", "l"]),
    ]:
        included.write_text(text)
        plans, problems = recall(settings)
        assert [each.job for each in plans] == jobs
        assert any(each.code is Code.UNREADABLE_FILE for each in problems) is (text[-2] == "[")


def test_a_change_while_the_project_is_read_is_noticed_the_next_time(settings, monkeypatch):
    file = settings.project_root / "meltano.yml"

    def read_then_change(known):
        planned = read_and_plan(known)
        file.write_text(
            file.read_text().replace("name: j,", "name: k,").replace("job: j", "job: k")
        )
        return planned

    monkeypatch.setattr(plan_cache, "read_and_plan", read_then_change)
    assert [each.job for each in recall(settings)[0]] == ["j"]
    monkeypatch.undo()
    assert [each.job for each in recall(settings)[0]] == ["k"]


def test_a_missing_project_keeps_its_dags_too(settings):
    good, _ = recall(settings)
    (settings.project_root / "meltano.yml").unlink()
    plans, (problem,) = recall(settings)
    assert plans == good
    assert "there is no meltano.yml in" in problem.message


def test_everybody_who_can_read_the_folder_can_read_the_plan(settings):
    before = os.umask(0o022)
    recall(settings)
    os.umask(before)
    modes = {file.stat().st_mode & 0o044 for file in settings.state_dir.iterdir()}
    assert modes == {0o044}


def test_a_folder_without_write_access_is_not_an_error(settings, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert recall(replace(settings, state_dir=tmp_path / "file"))[0]
    assert "DAG_FACTORY_STATE_DIR" in caplog.text


def test_environments_do_not_mix(settings):
    recall(settings)
    prod = replace(settings, environment="prod")
    assert {each.environment for each in recall(prod)[0]} == {"prod"}
    assert {each.environment for each in recall(settings)[0]} == {"dev"}


IN_PODS = GOOD.replace("tags: [a]", "tags: [a], runner: kubernetes").replace("dbtt", "dbt")


def test_a_new_image_is_used_immediately_and_makes_no_other_file(write_project, tmp_path):
    settings = Settings(write_project(IN_PODS), state_dir=tmp_path / "state", image="meltano:1")
    for version in ("meltano:1", "meltano:2", "meltano:1"):
        plans, _ = recall(replace(settings, image=version))
        assert {task.options.image for plan in plans for task in plan.tasks} == {version}
    [task, *_] = recall(replace(settings, compares_image=False))[0][0].tasks
    assert task.digest == ""
    assert len([*settings.state_dir.iterdir()]) == 2


def test_a_new_secrets_prefix_is_used_immediately_and_the_last_good_plan_outlives_it(
    write_project, tmp_path
):
    option = "annotations: {airflow: {secrets: [proxy]}}\njobs: [{name: j, tasks: [dbt]}]\n"
    settings = Settings(write_project(option), state_dir=tmp_path / "state")
    for prefix in ("a", "b/meltano/x"):
        plans, _ = recall(replace(settings, secrets_prefix=prefix))
        assert plans[0].tasks[0].secrets[0].names == (SecretName(prefix, "dev", "proxy"),)
    (settings.project_root / "meltano.yml").write_text("environments: 5\n")
    plans, problems = recall(replace(settings, secrets_prefix="c"))
    assert problems
    assert plans[0].tasks[0].secrets[0].names == (SecretName("b/meltano/x", "dev", "proxy"),)


def test_the_last_good_plan_outlives_a_new_image(write_project, tmp_path):
    settings = Settings(write_project(IN_PODS), state_dir=tmp_path / "state", image="meltano:1")
    good, _ = recall(settings)
    (settings.project_root / "meltano.yml").write_text("jobs: [\n")
    plans, problems = recall(replace(settings, image="meltano:2"))
    assert plans == good
    assert [each.code for each in problems] == [Code.UNREADABLE_FILE]


def test_a_kept_plan_of_another_shape_is_made_again(settings):
    """An older version wrote `argv` in place of `kind` and `blocks`."""
    good = recall(settings)[0]
    for file in settings.state_dir.iterdir():
        data = json.loads(file.read_text())
        for plan in data["plans"]:
            for task in plan["tasks"]:
                del task["kind"], task["blocks"]
                task["argv"] = ["meltano", "run", "tap-a"]
        file.write_text(json.dumps(data))
    (settings.project_root / "meltano.yml").write_text("[")
    assert good
    assert recall(settings)[0] == ()
