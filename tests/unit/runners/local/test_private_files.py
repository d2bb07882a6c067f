"""What a run leaves on disk, when it ends by itself, is asked to stop, or is killed."""

import tempfile
import threading
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException

from dag_factory.runners.local.operator import MeltanoOperator
from dag_factory.runners.local.private_files import private_files
from dag_factory.runners.prepare import PreparedRun
from tests.support.running import wait_until
from tests.support.shell_project import COMMAND, SECRETIVE, make_project, write_script

CONTENT = "hunter2-and-more"
ELT = ("meltano", "elt", "tap-a", "target-x", "--state-id=s")
SAY_IT = f'echo it is {CONTENT} >&2; cp "$2" config; echo "$2" > name; find "$XDG_STATE_HOME" > log'
WAIT = "touch waiting; exec sleep 600"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose tap has a token, and a folder for temporary files that is watched."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "project").mkdir()
    return make_project(tmp_path / "project", project=SECRETIVE)


def run(project, tap, argv=COMMAND):
    """Run the tap, which says its token first; stop it where it waits; see what it saw."""
    write_script(project / "tap", f"{SAY_IT}; {tap}")
    operator = MeltanoOperator(
        task_id="t",
        prepare=lambda _: PreparedRun(argv, {"TAP_A_TOKEN": CONTENT}, sensitive=("TAP_A_TOKEN",)),
        project_root=str(project),
        environment="dev",
    )

    def stop():
        wait_until((project / "waiting").exists, 60, "the tap")
        operator.on_kill()

    stopping = threading.Thread(target=stop)
    if tap == WAIT:
        stopping.start()
    try:
        operator.execute({})
    finally:
        if tap == WAIT:
            stopping.join()
        seen = {name: (project / name).read_text() for name in ("config", "name", "log")}
        for name in ("config", "tap"):
            (project / name).unlink()
        assert CONTENT in seen["config"]
        assert "/.meltano/run/" in seen["name"]
        assert "/elt.log" in seen["log"]


def holding(folder):
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    return [file for file in files if CONTENT.encode() in file.read_bytes()]


@pytest.mark.parametrize("argv", [COMMAND, ELT])
@pytest.mark.parametrize("tap", ["exit 3", WAIT])
def test_however_it_fails_its_configuration_and_its_log_are_gone(project, tap, argv):
    with pytest.raises(AirflowException):
        run(project, tap, argv)
    assert holding(project.parent) == []
    assert [*(project.parent / "tmp").iterdir()] == []


def test_what_it_leaves_when_it_succeeds_holds_nothing(project):
    run(project, "")
    assert holding(project.parent) == []


def test_its_folders_are_its_users_alone(project):
    (project / ".meltano/run").mkdir(parents=True)
    (project / ".meltano/run").chmod(0o755)
    with private_files(project, {}) as private:
        for folder in (project / ".meltano/run", Path(private["XDG_STATE_HOME"])):
            assert folder.stat().st_mode & 0o777 == 0o700


def test_the_folder_is_where_meltano_is_told_to_have_it(project):
    with private_files(project, {"MELTANO_SYS_DIR_ROOT": str(project / "sys")}):
        assert (project / "sys/run").stat().st_mode & 0o777 == 0o700
    assert not (project / ".meltano").exists()


def test_of_a_meltano_that_is_killed_the_log_is_gone_and_the_configuration_private(project):
    with pytest.raises(AirflowException, match="killed by SIGKILL"):
        run(project, "kill -9 $PPID")
    (left,) = holding(project.parent)
    assert left.is_relative_to(project / ".meltano/run")
    assert (project / ".meltano/run").stat().st_mode & 0o777 == 0o700
    assert [*(project.parent / "tmp").iterdir()] == []


def test_a_folder_of_another_user_is_told(project, monkeypatch, caplog):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    with private_files(project, {}) as private:
        assert private
    assert "which another user owns" in caplog.text
