import pytest

from dag_factory.errors import SettingsError
from dag_factory.settings import Settings, read_settings


def test_the_environment_variable_beats_the_default(write_project, tmp_path):
    root = write_project()
    environ = {"MELTANO_PROJECT_ROOT": str(root), "MELTANO_ENVIRONMENT": "prod"}
    assert read_settings(tmp_path / "elsewhere", environ) == Settings(root, "prod")


def test_an_empty_environment_means_the_projects_default(write_project):
    assert read_settings(write_project(), {"MELTANO_ENVIRONMENT": ""}).environment is None


@pytest.mark.parametrize("environ", [{}, {"MELTANO_PROJECT_ROOT": "/nowhere"}])
def test_no_project_is_one_clear_error(environ):
    with pytest.raises(SettingsError, match="MELTANO_PROJECT_ROOT"):
        read_settings(environ=environ)
