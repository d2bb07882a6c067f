"""The maintenance DAG against a real Meltano with state of its own."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from dag_factory.airflow.state_dag import build_state_dag
from dag_factory.planning.planned_project import read_and_plan
from dag_factory.pod.meltano_state import Action
from dag_factory.runners.kubernetes.operator import MeltanoPodOperator
from dag_factory.runners.kubernetes.pod_spec import pod_of_run
from dag_factory.settings import Settings

PROJECT = """
project_id: test
send_anonymous_usage_stats: false
environments: [{name: dev}]
"""
STATE_ID = "dev:tap-a-to-target-x:suffix"
STATE = {"singer_state": {"bookmarks": {"été": {"at": "it's 1"}}}}
OTHER = {"singer_state": {"bookmarks": {"other": {}}}}
LONG = {"singer_state": {"bookmarks": {f"stream_{n}": {"at": "x" * 100} for n in range(500)}}}
STATES = {STATE_ID: STATE, "other": OTHER, "long": LONG}
MELTANO = str(Path(sys.executable).with_name("meltano"))


@pytest.fixture(scope="module")
def with_state(tmp_path_factory):
    root = tmp_path_factory.mktemp("with_state")
    (root / "meltano.yml").write_text(PROJECT)
    states = {each: {"completed": state, "partial": {}} for each, state in STATES.items()}
    (root / "states.json").write_text(json.dumps(states))
    call_meltano(root, "state", "import", "states.json")
    return root


@pytest.fixture
def project(with_state, tmp_path):
    return shutil.copytree(with_state, tmp_path / "project")


def call_meltano(root, *argv):
    subprocess.run([MELTANO, *argv], cwd=root, check=True, capture_output=True)


def query(root, sql):
    with closing(sqlite3.connect(root / ".meltano/meltano.db")) as database:
        return database.execute(sql).fetchall()


def states(root):
    """Return the states that Meltano holds."""
    rows = query(root, "SELECT state_id, completed_state FROM state")
    return {state_id: json.loads(state) for state_id, state in rows}


def make_dag(project, **settings):
    plan = read_and_plan(Settings(project, "dev", **settings)).state_plan
    return build_state_dag(plan, project)


def act(project, action, **fields):
    """Run the action as a run with these fields of the form would."""
    dag = make_dag(project)
    values = dag.params.dump() | {"action": action, **fields}
    for name, value in values.items():
        dag.params.get_param(name).resolve(value)
    execute(dag, values)


def execute(dag, values):
    dag.get_task("state").execute(context_of(dag, values))


def context_of(dag, values):
    return {"params": values, "dag_run": SimpleNamespace(dag_id=dag.dag_id, run_id="r1")}


def test_list_names_the_state_ids_in_the_log(project, said):
    act(project, "list")
    assert f"State IDs that have state:\n{json.dumps(sorted(STATES), indent=2)}" in said()


@pytest.mark.parametrize("state_id", [STATE_ID, "long"])
def test_show_writes_the_state_for_people(project, said, state_id):
    act(project, "show", state_id=state_id)
    shown = json.dumps(STATES[state_id], indent=2, ensure_ascii=False)
    assert f"The state of {state_id}:\n{shown}" in said()


@pytest.mark.parametrize("action", ["show", "copy", "clear"])
def test_a_state_id_without_state_fails_the_task(project, action):
    fields = {"state_id": "dev:other", "target": "dev:copied", "confirm": "dev:other"}
    with pytest.raises(AirflowFailException, match="Meltano has no state for 'dev:other'; `list`"):
        act(project, action, **fields)


def test_a_state_id_that_looks_like_an_option_is_not_one(project):
    """`meltano state clear --all` would clear every state."""
    act(project, "copy", state_id=STATE_ID, target="--all")
    assert states(project) == STATES | {"--all": STATE}
    triggers = query(project, "SELECT trigger FROM runs WHERE job_name = '--all'")
    assert triggers == [("airflow:meltano_state/r1",)]
    act(project, "clear", state_id="--all", confirm="--all")
    assert states(project) == STATES


def test_copy_replaces_state_only_when_its_state_id_is_written_twice(project, said):
    fields = {"state_id": STATE_ID, "target": "other"}
    with pytest.raises(AirflowFailException, match="Nothing was copied: 'other' has state"):
        act(project, "copy", **fields, confirm=STATE_ID)
    assert states(project) == STATES
    act(project, "copy", **fields, confirm="other")
    assert states(project) == STATES | {"other": STATE}
    assert "To restore the state of other: meltano state set" in said()
    assert f"other has the state of {STATE_ID}" in said()


def test_clear_deletes_the_state_and_logs_how_to_restore_it(project, said):
    act(project, "clear", state_id=STATE_ID, confirm=STATE_ID)
    assert states(project) == {"other": OTHER, "long": LONG}
    logged = said()
    assert f"{STATE_ID} no longer has state" in logged

    command = re.search(f"To restore the state of {STATE_ID}: meltano (.*)", logged)[1]
    call_meltano(project, *shlex.split(command))
    assert states(project) == STATES


def test_a_folder_that_holds_no_state_is_never_cleared(project, monkeypatch):
    """Meltano removes any folder that a state ID leads to, if state is kept in files."""
    precious = project / "precious"
    for folder in (precious, project / "states"):
        folder.mkdir()
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", f"file://{project}/states")
    for state_id in ("../precious", str(precious)):
        fields = {"state_id": state_id, "confirm": state_id}
        with pytest.raises(ParamValidationError):
            act(project, "clear", **fields)
        values = {"action": "clear", "target": None, **fields}
        with pytest.raises(AirflowFailException, match="is not a state ID"):
            execute(make_dag(project), values)
    assert precious.exists()


def test_release_lock_runs_with_the_python_of_meltano(project, said):
    act(project, "release_lock", state_id=STATE_ID)
    assert f"{STATE_ID!r} has no lock: no run of it is marked as running" in said()


@pytest.mark.parametrize("action", ["list", "release_lock"])
def test_a_broken_project_fails_the_task_with_the_reason(project, action):
    dag = make_dag(project)
    (project / "meltano.yml").write_text("environments: 5\n")
    with pytest.raises(AirflowException, match="failed") as failed:
        execute(dag, dag.params.dump() | {"action": action, "state_id": STATE_ID})
    assert "no error" not in str(failed.value)


def test_fields_that_do_not_fit_together_fail_the_task_before_anything_is_started(dag):
    values = dag.params.dump() | {"action": "clear", "state_id": "a"}
    with pytest.raises(AirflowFailException, match="Nothing was cleared: write 'a' into"):
        dag.get_task("state").prepare(context_of(dag, values))


@pytest.fixture
def dag(tmp_path):
    (tmp_path / "meltano.yml").write_text(PROJECT)
    return make_dag(tmp_path)


@pytest.mark.parametrize("field", ["state_id", "target", "confirm"])
def test_the_form_accepts_every_state_id_and_nothing_else(dag, field):
    param = dag.params.get_param(field)
    for good in (None, STATE_ID, "--all", "données été/1 x", "...", "a..b", ".a", "$HOME {{ x }}"):
        assert param.resolve(good) == good
    for bad in (
        "",
        "a\n",
        "a\nb",
        "a\0",
        "/etc",
        ".",
        "..",
        "a/..",
        "a/../b",
        "./a",
        5,
        "x" * 1001,
    ):
        with pytest.raises(ParamValidationError):
            param.resolve(bad)


def test_the_form_offers_the_actions_and_defaults_to_a_harmless_one(dag):
    action = dag.params.get_param("action")
    assert (action.value, action.schema["enum"]) == ("list", list(Action))
    for bad in (None, "drop", "LIST"):
        with pytest.raises(ParamValidationError):
            action.resolve(bad)


def test_the_dag_is_started_manually_and_has_one_run_at_a_time(tmp_path):
    (tmp_path / "meltano.yml").write_text(PROJECT)
    dag = make_dag(tmp_path, dag_id_prefix="prod_")
    assert (dag.dag_id, dag.schedule, dag.max_active_runs) == ("prod_meltano_state", None, 1)
    assert dag.is_paused_upon_creation is False
    assert dag.tags == {"meltano", "dev"}
    assert [(task.retries, task.outlets) for task in dag.tasks] == [(0, [])]
    assert all(action.replace("_", " ").capitalize() in dag.doc_md for action in Action)


IN_PODS = """
annotations:
  airflow:
    runner: kubernetes
    service_account: loads
    resources: {limits: {memory: 1Gi}}
    operator: {namespace: data, retry_delay: 1m}
    pod_override: {spec: {containers: [{name: base, envFrom: [{secretRef: {name: meltano}}]}]}}
"""


def test_with_the_kubernetes_runner_the_task_is_a_pod_like_any_other(tmp_path):
    (tmp_path / "meltano.yml").write_text(PROJECT + IN_PODS)
    dag = make_dag(tmp_path, image="registry.example.com/meltano:1.4.2")
    task = dag.get_task("state")
    assert isinstance(task, MeltanoPodOperator)
    assert task.pod_operator_arguments == {"namespace": "data"}
    values = {"action": "clear", "state_id": "--all $(HOME)", "confirm": "--all $(HOME)"}
    pod = pod_of_run(task.template(), task.prepare(context_of(dag, values)))
    assert pod["metadata"]["labels"]["meltano_job"] == "meltano_state"
    assert pod["spec"]["serviceAccountName"] == "loads"
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.com/meltano:1.4.2"
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert container["envFrom"] == [{"secretRef": {"name": "meltano"}}]
    twice = ["--all $$(HOME)"] * 2
    assert container["args"] == ["--patience=20", "--", "meltano-state", "clear", "--", *twice]
    assert container["env"] == [
        {"name": "MELTANO_ENVIRONMENT", "value": "dev"},
        {"name": "MELTANO_JOB_TRIGGER", "value": "airflow:meltano_state/r1"},
    ]


@pytest.mark.parametrize(("mode", "reads"), [("aws", True), ("k8s", False)])
def test_the_task_has_the_secrets_of_its_environment(tmp_path, mode, reads):
    option = f"    secrets: {{mode: {mode}, names: [database]}}\n"
    (tmp_path / "meltano.yml").write_text(PROJECT + IN_PODS + option)
    dag = make_dag(tmp_path, image="meltano:1.4.2", secrets_prefix="acme")
    task = dag.get_task("state")
    run = task.prepare(context_of(dag, {"action": "list"}))
    (container,) = pod_of_run(task.template(), run)["spec"]["containers"]
    arguments = ["--secret", "acme/dev/meltano/database"] if reads else []
    assert container["args"] == ["--patience=20", *arguments, "--", "meltano-state", "list", "--"]
    names = [each["secretRef"]["name"] for each in container["envFrom"]]
    assert names == (["meltano"] if reads else ["acme-dev-meltano-database", "meltano"])


@pytest.mark.parametrize("more", ["", IN_PODS])
def test_the_dag_built_twice_has_the_same_bytes(tmp_path, more):
    (tmp_path / "meltano.yml").write_text(PROJECT + more)
    first, second = (
        json.dumps(DagSerialization.to_dict(make_dag(tmp_path, image="meltano:1.4.2")))
        for _ in range(2)
    )
    assert first == second
