"""The variables of a task, and which of their values are hidden."""

from dag_factory.secrets.task_variables import read_task_variables


def test_a_sensitive_value_is_hidden_wherever_meltano_finds_it(tmp_path):
    (tmp_path / ".env").write_text("TAP_A_TOKEN=of dotenv\nTAP_A_REGION=eu\n")
    environ = {"TAP_A_TOKEN": "of the process", "PATH": "/bin"}
    found = read_task_variables(tmp_path, environ, (), ("TAP_A_TOKEN", "TAP_A_KEY"))
    assert sorted(found.hidden_values) == ["of dotenv", "of the process"]
    assert found.environ == environ
    assert found.log_entries == []
    assert "of the process" not in repr(found)
