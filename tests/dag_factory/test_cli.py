import json
import subprocess
import sys

import pytest

from dag_factory.cli import main


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
    assert capsys.readouterr().out == "1 DAG, no problems, 1 warning\n"


def test_check_tells_file_line_and_what_to_do(write_project, capsys):
    root = write_project("jobs:\n- {name: j, tasks: [dbtt]}\n")
    assert main(["check", "--project", str(root)]) == 1
    assert capsys.readouterr().err == (
        "meltano.yml:2: MDF013 job 'j': there is no plugin or mapping 'dbtt'; did you mean 'dbt'?\n"
    )


def test_an_unreadable_project_is_a_problem_and_no_traceback(write_project, capsys):
    root = write_project("jobs: @daily\n")
    assert main(["check", "--project", str(root)]) == 1
    assert "meltano.yml:1: MDF001" in capsys.readouterr().err


def test_no_project_is_a_usage_error(tmp_path, capsys):
    assert main(["check", "--project", str(tmp_path)]) == 2
    assert "holds no meltano.yml" in capsys.readouterr().err


def test_an_explicit_project_beats_the_environment(write_project, capsys, monkeypatch):
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", "/nowhere")
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert main(["check", "--project", str(root)]) == 0
    assert main(["check"]) == 2
    assert "/nowhere" in capsys.readouterr().err


def test_list_as_json(write_project, capsys):
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert main(["list", "--format", "json", "--project", str(root)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["dag_id"] == "j"
    assert row["tasks"][0]["argv"] == ["meltano", "run", "--no-install", "dbt"]


def test_the_command_line_imports_neither_airflow_nor_meltano(write_project):
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    code = (
        "import sys; from dag_factory.cli import main;"
        f"main(['list', '--project', {str(root)!r}]);"
        "sys.exit(bool({'airflow', 'meltano'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
