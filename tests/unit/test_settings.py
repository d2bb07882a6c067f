import pytest

from dag_factory.errors import SettingsError
from dag_factory.settings import Settings, read_settings


def test_the_variables_say_where_and_which(tmp_path):
    environ = {"MELTANO_PROJECT_ROOT": str(tmp_path), "MELTANO_ENVIRONMENT": "prod"}
    assert read_settings(environ=environ) == Settings(tmp_path, "prod")


def test_what_a_dag_file_says_goes_before_the_variables(tmp_path):
    environ = {"MELTANO_PROJECT_ROOT": "/elsewhere", "MELTANO_ENVIRONMENT": "prod"}
    assert read_settings(tmp_path, environment="dev", environ=environ) == Settings(tmp_path, "dev")


def test_a_repository_that_is_no_address_is_one_clear_error(tmp_path):
    environ = {"DAG_FACTORY_REPOSITORY_URL": "git@example.com:x/y"}
    with pytest.raises(SettingsError, match=r"DAG_FACTORY_REPOSITORY_URL: .* is not an http"):
        read_settings(tmp_path, environ=environ)


@pytest.mark.parametrize("template", ["{jobs}", "{}", "{job", "{0}"])
def test_a_template_that_is_none_is_one_clear_error(tmp_path, template):
    with pytest.raises(
        SettingsError, match=r"dag_id_template .* cannot be filled: use only \{job\}"
    ):
        read_settings(tmp_path, dag_id_template=template)


def test_an_empty_environment_means_the_projects_default(write_project):
    assert read_settings(write_project(), environ={"MELTANO_ENVIRONMENT": ""}).environment is None


def test_no_project_is_one_clear_error():
    with pytest.raises(SettingsError, match="MELTANO_PROJECT_ROOT"):
        read_settings(environ={})


def test_each_project_has_a_folder_of_its_own_for_its_plans(tmp_path):
    folders = set()
    for name in ("a/meltano", "b/meltano"):
        (tmp_path / name).mkdir(parents=True)
        environ = {"DAG_FACTORY_STATE_DIR": str(tmp_path / "state")}
        folders.add(read_settings(tmp_path / name, environ=environ).state_dir)
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {tmp_path / "state"}


def test_the_folder_stays_where_the_project_is_a_link_that_moves(tmp_path):
    environ = {"DAG_FACTORY_STATE_DIR": str(tmp_path / "state")}
    found = []
    for revision in ("one", "two"):
        (tmp_path / revision).mkdir()
        (tmp_path / "current").unlink(missing_ok=True)
        (tmp_path / "current").symlink_to(revision)
        found.append(read_settings(tmp_path / "current", environ=environ))
    assert found[0].project_root != found[1].project_root
    assert found[0].state_dir == found[1].state_dir


@pytest.mark.parametrize(("written", "prefix"), [("acme", "acme"), ("a/b.d", "a/b.d"), ("", None)])
def test_what_begins_the_names_of_secrets_is_a_variable(tmp_path, written, prefix):
    environ = {"DAG_FACTORY_SECRETS_PREFIX": written}
    assert read_settings(tmp_path, environ=environ).secrets_prefix == prefix


@pytest.mark.parametrize("written", ["/acme", "acme/", "a//b", "a b", "é", "a\n", "arn:aws:x"])
def test_a_prefix_that_begins_no_name_is_one_clear_error(tmp_path, written):
    with pytest.raises(SettingsError, match=r"DAG_FACTORY_SECRETS_PREFIX: .*: write one such as"):
        read_settings(tmp_path, environ={"DAG_FACTORY_SECRETS_PREFIX": written})


def test_the_image_of_pods_is_a_variable(tmp_path):
    image = "registry.example.com/meltano:1.4.2"
    assert read_settings(tmp_path, environ={"MELTANO_IMAGE": image}).image == image
    for environ in ({}, {"MELTANO_IMAGE": ""}):
        assert read_settings(tmp_path, environ=environ).image is None


@pytest.mark.parametrize("image", ["Meltano:1", "https://example.com/meltano:1", "meltano:"])
def test_an_image_that_is_none_is_one_clear_error(tmp_path, image):
    with pytest.raises(
        SettingsError, match=r"MELTANO_IMAGE: .* is not an image: write one such as"
    ):
        read_settings(tmp_path, environ={"MELTANO_IMAGE": image})


@pytest.mark.parametrize(
    ("written", "compares"), [(None, True), ("", True), ("true", True), ("False ", False)]
)
def test_images_are_compared_unless_somebody_says_no(tmp_path, written, compares):
    environ = {} if written is None else {"DAG_FACTORY_COMPARE_IMAGE": written}
    assert read_settings(tmp_path, environ=environ).compares_image is compares


def test_neither_yes_nor_no_is_one_clear_error(tmp_path):
    with pytest.raises(
        SettingsError, match="DAG_FACTORY_COMPARE_IMAGE must be true or false, not 'nein'"
    ):
        read_settings(tmp_path, environ={"DAG_FACTORY_COMPARE_IMAGE": "nein"})
