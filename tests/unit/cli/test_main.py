import json
import os
import pty
import re
import subprocess
import sys

import pytest

from dag_factory.cli.main import main
from tests.support.small_project import PLUGINS

COLOR_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "ANSI_COLORS_DISABLED")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("MELTANO_PROJECT_ROOT", raising=False)
    monkeypatch.delenv("MELTANO_ENVIRONMENT", raising=False)


def test_check_passes_a_good_project(write_project, capsys):
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert main(["check", "--project", str(root)]) == 0
    assert capsys.readouterr().out == "1 DAG, no problems, no warnings\n"


def test_check_passes_a_project_with_a_warning_and_counts_it(write_project, capsys):
    root = write_project("jobs: [{name: j, tasks: [dbt]}, {name: j, tasks: [dbt]}]\n")
    assert main(["check", "--project", str(root)]) == 0
    assert capsys.readouterr().out.endswith("\n1 DAG, no problems, 1 warning\n")


def test_check_tells_file_line_and_what_to_do(write_project, capsys):
    root = write_project("jobs:\n- {name: j, tasks: [dbtt]}\n")
    assert main(["check", "--project", str(root)]) == 1
    assert capsys.readouterr().out == (
        "meltano.yml:2: MDF013 job 'j': no plugin or mapping is named 'dbtt'; did you mean 'dbt'?\n"
        "    2 | - {name: j, tasks: [dbtt]}\n"
        "                            ^\n"
        "no DAGs, 1 problem, no warnings\n"
    )


def test_check_for_other_programs(write_project, capsys):
    root = write_project("jobs:\n- {name: j, tasks: [dbtt]}\n")
    assert main(["check", "--format", "json", "--project", str(root)]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["code"], row["severity"], row["fails_check"]) == ("MDF013", "job", True)
    assert (row["file"], row["line"], row["column"]) == ("meltano.yml", 2, 21)


def test_check_for_a_good_project_and_other_programs(write_project, capsys):
    root = write_project("jobs: []\n")
    assert main(["check", "--format", "json", "--project", str(root)]) == 0
    assert main(["check", "--format", "github", "--project", str(root)]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_check_for_github_names_files_from_where_it_runs(write_project, capsys, monkeypatch):
    root = write_project("jobs:\n- {name: 'a,b', tasks: [dbtt]}\n- {name: 'a,b', tasks: [dbt]}\n")
    monkeypatch.chdir(root.parent)
    assert main(["check", "--format", "github", "--project", str(root)]) == 1
    error, warning = capsys.readouterr().out.splitlines()
    place = f"file={root.name}/meltano.yml,line=2,col=25,title=MDF013"
    assert error.startswith(f"::error {place}::job 'a,b': no plugin or mapping is named")
    assert warning.startswith("::warning file=")


def test_colours_only_on_a_terminal(write_project):
    root = write_project("jobs:\n- {name: j, tasks: [dbtt]}\n")
    command = [sys.executable, "-m", "dag_factory.cli", "check", "--project", str(root)]
    plain = {name: value for name, value in os.environ.items() if name not in COLOR_VARIABLES}
    leader, follower = pty.openpty()
    subprocess.run(command, check=False, stdout=follower, env=plain | {"TERM": "xterm"})
    os.close(follower)
    on_terminal = os.read(leader, 10_000).decode()
    os.close(leader)
    piped = subprocess.run(command, check=False, capture_output=True, text=True, env=plain)
    assert "\x1b[31mMDF013\x1b[0m" in on_terminal
    assert piped.stdout == re.sub(r"\x1b\[\d*m|\r", "", on_terminal)


def test_an_unreadable_project_is_a_problem_and_no_traceback(write_project, capsys):
    root = write_project("jobs: @daily\n")
    assert main(["check", "--project", str(root)]) == 1
    assert "meltano.yml:1:7: MDF001" in capsys.readouterr().out


def test_no_project_is_a_usage_error(tmp_path, capsys):
    assert main(["check", "--project", str(tmp_path)]) == 2
    assert "holds no meltano.yml" in capsys.readouterr().err


def test_an_explicit_project_beats_the_environment(write_project, capsys, monkeypatch):
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", "/nowhere")
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert main(["check", "--project", str(root)]) == 0
    assert main(["check"]) == 2
    assert "/nowhere" in capsys.readouterr().err


SCHEDULED = """
jobs:
- {name: j, tasks: [tap-a target-x, dbt:run]}
schedules:
- {name: nightly, job: j, interval: '@daily', env: {FULL: 'no'},
   annotations: {airflow: {timezone: Europe/Prague}}}
- {name: rare, job: j, interval: '@once'}
"""


def test_list_as_json(write_project, capsys):
    root = write_project(SCHEDULED)
    assert main(["list", "--format", "json", "--project", str(root)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    run = ["meltano", "run", "--no-install"]
    pair = "tap-a-to-target-x"
    zone = "Europe/Prague"
    assert row == {
        "dag_id": "j",
        "job": "j",
        "schedules": [
            {"name": "nightly", "cron": "0 0 * * *", "timezone": zone, "env": {"FULL": "no"}},
            {"name": "rare", "cron": None, "timezone": "UTC", "env": {}},
        ],
        "after": None,
        "tasks": [
            {"task_id": pair, "argv": [*run, "tap-a", "target-x"], "upstream": []},
            {"task_id": "dbt.run", "argv": [*run, "dbt:run"], "upstream": [pair]},
        ],
        "file": "meltano.yml",
        "line": 3,
    }


def test_list_as_meltano_would(write_project, capsys):
    root = write_project(SCHEDULED)
    assert main(["list", "--format", "meltano", "--project", str(root)]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert listing["jobs"] == [{"job_name": "j", "tasks": ["tap-a target-x", "dbt:run"]}]
    assert [each["name"] for each in listing["schedules"]["job"]] == ["nightly", "rare"]


def test_list_for_people(write_project, capsys):
    assert main(["list", "--project", str(write_project(SCHEDULED))]) == 0
    assert capsys.readouterr().out == (
        "j  (0 0 * * * Europe/Prague)\n"
        "    meltano run --no-install tap-a target-x\n"
        "    meltano run --no-install dbt:run\n"
    )


def test_show_tells_everything_about_a_job(write_project, capsys):
    settings = "settings: [{name: api_key, kind: password}]"
    plugins = PLUGINS.replace("namespace: a}", f"namespace: a, {settings}}}")
    root = write_project(SCHEDULED, plugins=plugins)
    assert main(["show", "j", "--project", str(root)]) == 0
    out = capsys.readouterr().out
    for line in (
        "j  (meltano.yml:3)",
        "  schedule       nightly: 0 0 * * * (Europe/Prague)  env: FULL",
        "  schedule       rare: by hand",
        "    command      meltano run --no-install tap-a target-x",
        "    state ID     dev:tap-a-to-target-x",
        "    sensitive    $TAP_A_API_KEY",
        "    after        tap-a-to-target-x",
    ):
        assert f"{line}\n" in out
    runs = re.findall(r"next run       \w+ \d+ \w+ \d+ (\d\d:\d\d) CES?T", out)
    assert runs == ["00:00"] * 5


def test_show_names_the_secrets_that_each_task_reads(write_project, capsys, monkeypatch):
    monkeypatch.setenv("DAG_FACTORY_SECRETS_PREFIX", "acme")
    settings = "settings: [{name: api_key, kind: password}]"
    child = "{name: tap-child, inherit_from: tap-a}"
    plugins = PLUGINS.replace("namespace: a}", f"namespace: a, {settings}}}, {child}")
    annotations = "annotations: {airflow: {secrets: [proxy]}}"
    jobs = f"jobs: [{{name: j, tasks: [tap-child target-x], {annotations}}}]\n"
    assert main(["show", "j", "--project", str(write_project(jobs, plugins=plugins))]) == 0
    out = capsys.readouterr().out
    for line in (
        "    secret       acme/dev/meltano/tap-child or acme/dev/meltano/tap-a",
        "    secret       acme/dev/meltano/proxy",
        "    sensitive    $TAP_CHILD_API_KEY",
        "    sensitive    $TAP_A_API_KEY",
        "    secrets        proxy",
    ):
        assert f"{line}\n" in out


def test_show_why_tells_where_each_option_comes_from(write_project, capsys):
    root = write_project(
        """
        annotations: {airflow: {owner: data, retries: 1, tags: [a]}}
        jobs:
        - name: j
          tasks: [tap-a target-x]
          annotations:
            airflow: {tags: [b], retry_delay: 90s, expect: {rows: {min: 1}}}
        """
    )
    assert main(["show", "j", "--why", "--project", str(root)]) == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    said = {line[0]: line[-1] for line in lines}
    assert said["owner"] == "data  (meltano.yml:2)"
    assert said["tags"] == "a, b  (meltano.yml:2, meltano.yml:7)"
    assert said["retries"] == "1  (meltano.yml:2)"
    assert said["retry_delay"] == "90s  (meltano.yml:7)"
    assert said["timezone"] == "UTC  (built in)"
    assert said["pool_slots"] == "1  (built in)"
    assert said["expect"].endswith("(meltano.yml:7)")


POD = """
annotations:
  airflow:
    runner: kubernetes
    image: meltano:1
    resources: {requests: {cpu: 1, memory: 1Gi}}
database_uri: $DATABASE
jobs:
- name: j
  tasks: [tap-a target-x, dbt]
  annotations:
    airflow:
      tolerations: [{key: a, operator: Exists}]
      resources: {requests: {memory: 2Gi}}
      tasks: {dbt: {runner: local, resources: {limits: {cpu: 2}}}}
"""


def show_why(write_project, capsys):
    """Return what is said of each option of the first task, and of the second."""
    assert main(["show", "j", "--why", "--project", str(write_project(POD))]) == 0
    _, *tasks = capsys.readouterr().out.split("  task  ")
    return [dict(line.split(None, 1) for line in task.splitlines()[1:]) for task in tasks]


def test_show_why_tells_the_options_of_pods_as_they_are_written(write_project, capsys):
    pod, process = show_why(write_project, capsys)
    assert pod["image"] == "meltano:1  (meltano.yml:5)"
    where = "(meltano.yml:6, meltano.yml:14)"
    assert pod["resources"] == f"requests: {{cpu: 1, memory: 2Gi}}  {where}"
    assert pod["tolerations"] == "{key: a, operator: Exists}  (meltano.yml:13)"
    assert pod["node_selector"] == "none  (built in)"
    assert process["resources"].startswith("requests: {cpu: 1, memory: 2Gi}, limits: {cpu: 2}  (")


def test_show_why_names_the_variable_that_sets_the_image_of_pods(
    write_project, capsys, monkeypatch
):
    monkeypatch.setenv("MELTANO_IMAGE", "meltano:2")
    pod, process = show_why(write_project, capsys)
    assert pod["image"] == "meltano:2  (MELTANO_IMAGE)"
    assert process["image"] == "meltano:1  (meltano.yml:5)"


def test_show_leaves_out_a_digest_that_nobody_compares(write_project, capsys, monkeypatch):
    assert "digest" in show_why(write_project, capsys)[0]
    monkeypatch.setenv("DAG_FACTORY_COMPARE_IMAGE", "false")
    assert "digest" not in show_why(write_project, capsys)[0]


def test_check_airflow_without_its_database_is_one_line(write_project, capsys):
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert main(["check", "--airflow", "--project", str(root)]) == 2
    said = capsys.readouterr().err
    assert "Airflow's database cannot be read" in said
    assert len(said.splitlines()) == 1


def test_show_guesses_the_job(write_project, capsys):
    assert main(["show", "k", "--project", str(write_project(SCHEDULED))]) == 2
    root = write_project("jobs: [{name: customers, tasks: [dbt]}]\n")
    assert main(["show", "custmers", "--project", str(root)]) == 2
    assert "did you mean 'customers'?" in capsys.readouterr().err


def test_graph_as_a_file(write_project, tmp_path):
    file = tmp_path / "graph.svg"
    arguments = ["graph", "j", "--format", "svg", "--output", str(file)]
    assert main([*arguments, "--project", str(write_project(SCHEDULED))]) == 0
    assert "<svg" in file.read_text()


def test_pictures_say_which_extra_they_need(write_project, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert main(["graph", "--format", "png", "--project", str(write_project(SCHEDULED))]) == 2
    assert "meltano-dag-factory[graph]" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "list", "graph"])
def test_every_command_names_the_jobs_left_out(write_project, capsys, command):
    root = write_project("jobs: [{name: good, tasks: [dbt]}, {name: bad, tasks: [dbtt]}]\n")
    assert main([command, "--project", str(root)]) == 1
    shown = capsys.readouterr()
    assert "MDF013" in shown.out + shown.err


@pytest.mark.parametrize("arguments", [["check", "--format", "xml"], ["sow"], []])
def test_a_wrong_call_is_a_usage_error(arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    "command",
    [["check"], ["list"], ["list", "--format", "meltano"], ["show", "j"], ["graph"], ["schema"]],
)
def test_the_command_line_imports_neither_airflow_nor_meltano(write_project, command):
    project = [] if command == ["schema"] else ["--project", str(write_project(SCHEDULED))]
    code = (
        "import sys; from dag_factory.cli.main import main;"
        f"assert main({command + project!r}) == 0;"
        "sys.exit(bool({'airflow', 'meltano'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
