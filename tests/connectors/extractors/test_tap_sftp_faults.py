"""tap-sftp and what goes wrong: logins, host keys, connections, rights, settings."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import paramiko
import pytest
from singer_sdk.exceptions import ConfigValidationError
from tap_sftp.client import SftpServer
from tap_sftp.errors import TapSftpError
from tap_sftp.tap import TapSftp

from tests.connectors.servers.sftp_files import FILES, LONG_AGO
from tests.connectors.servers.sftp_source import PASSWORD, USER
from tests.support.running import free_port

FOLDER = "bank/bookings_*.txt"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMDQjB6DCMXoY7bG0ZfOeTKdxm2m1yK4oZ0jVxKQ9n8y"


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Do not wait between tries; tell how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    return waited


@pytest.fixture
def settings(sftp) -> dict:
    return sftp.settings


@pytest.fixture
def find(settings) -> Iterator[Callable[..., list]]:
    """List the bank's files with other settings."""
    servers = []

    def find_with(pattern: str = FOLDER, **changes: object) -> list:
        servers.append(SftpServer({**settings, **changes}))
        return servers[-1].find(pattern)

    yield find_with
    for server in servers:
        server.close()


def refusal(action: Callable[..., object], *args: object, **options: object) -> str:
    with pytest.raises(TapSftpError) as error:
        action(*args, **options)
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)
    return str(error.value)


# Logging in


def test_a_private_key_is_enough(find, sftp):
    assert len(find(password=None, private_key=sftp.private_key)) == 2


def test_a_private_key_may_have_written_out_line_ends(find, sftp):
    assert find(password=None, private_key=sftp.private_key.replace("\n", "\\n"))


def test_a_locked_private_key_needs_its_passphrase(find, sftp, tmp_path):
    file = tmp_path / "key"
    file.write_text(sftp.private_key)
    file.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "let me in", "-f", file], check=True)
    locked = {"password": None, "private_key": file.read_text()}
    assert find(**locked, private_key_passphrase="let me in")  # noqa: S106
    assert refusal(find, **locked) == "private_key is encrypted: set private_key_passphrase"
    said = refusal(find, **locked, private_key_passphrase="wrong")  # noqa: S106
    assert said.startswith("private_key cannot be read:")


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody-at-all"}])
def test_a_wrong_login_is_told_and_not_tried_again(find, waits, settings, wrong):
    user = {**settings, **wrong}["username"]
    assert f"rejects the login of {user}: Authentication failed." in refusal(find, **wrong)
    assert waits == []


# Host keys


def test_an_unknown_server_is_refused_with_the_key_to_set(find, sftp, tmp_path, waits):
    unknown = {"host_key": None, "known_hosts": str(tmp_path / "known_hosts")}
    (tmp_path / "known_hosts").touch()
    said = refusal(find, **unknown)
    key = " ".join(sftp.host_key.split()[:2])
    assert said.startswith(f"the host key of [127.0.0.1]:{sftp.port} is not known: it is SHA256:")
    assert said.endswith(f"and then set host_key to: {key}")
    assert waits == []
    assert find(host_key=key)


def test_a_server_with_another_key_is_refused(find, sftp, waits):
    said = refusal(find, host_key=OTHER_KEY)
    assert f"the host key of 127.0.0.1:{sftp.port} has changed to SHA256:" in said
    assert waits == []


def test_the_password_is_not_sent_to_an_unknown_server(find, monkeypatch):
    monkeypatch.setattr(
        paramiko.Transport, "auth_password", lambda *_, **__: pytest.fail("sent the password")
    )
    refusal(find, host_key=OTHER_KEY)


def test_a_known_hosts_file_is_enough(find, sftp):
    assert find(host_key=None, known_hosts=str(sftp.home / "known_hosts"))


def test_one_of_several_host_keys_is_enough(find, sftp):
    assert find(host_key=f"# old\n{OTHER_KEY}\n\n[127.0.0.1]:{sftp.port} {sftp.host_key}\n")


def test_the_host_key_that_is_set_is_asked_for(find, sftp):
    assert find(host_key=(sftp.home / "old_host_key.pub").read_text())


def test_a_known_hosts_file_that_is_missing_is_told(find):
    said = refusal(find, host_key=None, known_hosts="/nowhere/known_hosts")
    assert said == "known_hosts: cannot read /nowhere/known_hosts: No such file or directory"


# Connections


class FaultyLine:
    """Stands between tap and server, and breaks the next connections.

    Args:
        port: Where the server listens.
        limits: After how many bytes of the server each connection breaks; later ones do not.
    """

    def __init__(self, port: int, limits: list[int]) -> None:
        self._server = ("127.0.0.1", port)
        self._limits = limits
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                limit = self._limits.pop(0) if self._limits else sys.maxsize
                server = socket.create_connection(self._server)
                ends = (client, server)
                for source, target, most in ((*ends, sys.maxsize), (*ends[::-1], limit)):
                    argv = (source, target, most)
                    threading.Thread(target=self._pass, args=argv, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, left: int) -> None:
        with suppress(OSError), source, target:
            while left > 0 and (data := source.recv(min(left, 2**16))):
                target.sendall(data)
                left -= len(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def line(sftp) -> Iterator[Callable[..., FaultyLine]]:
    lines = []

    def make(*limits: int) -> FaultyLine:
        lines.append(FaultyLine(sftp.port, list(limits)))
        return lines[-1]

    yield make
    for each in lines:
        each.close()


@pytest.fixture
def by_line(sftp, line) -> Callable[..., dict]:
    """Return settings that lead through a faulty line."""
    key = " ".join(sftp.host_key.split()[:2])
    return lambda *limits: {"port": line(*limits).port, "host_key": key}


# A thread of paramiko's may still be asking for parts of the file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_file_is_copied_whole_though_the_line_breaks(sftp, settings, by_line, waits):
    content = os.urandom(5 * 2**20)
    path = f"large-{uuid4()}"
    sftp.put(path, content)
    server = SftpServer({**settings, **by_line(2**20, 3 * 2**20)})
    copy = io.BytesIO()
    try:
        (remote,) = server.find(path)
        assert server.fetch(remote, copy)
    finally:
        server.close()
    assert copy.getvalue() == content
    assert waits == [2, 4]


def test_a_server_that_hangs_up_is_tried_again(find, by_line, waits):
    assert find(**by_line(0, 10, 1000))
    assert waits == [2, 4, 8]


def test_a_server_that_is_away_is_told_in_a_line(find, waits):
    port = free_port()
    assert refusal(find, port=port) == (
        f"cannot read from 127.0.0.1:{port}: Unable to connect to port {port} on 127.0.0.1; are "
        "host and port correct, and is it an SFTP server?"
    )
    assert waits == [2, 4, 8, 16]


def test_a_server_that_says_nothing_is_given_up(find, monkeypatch):
    monkeypatch.setattr("tap_sftp.client.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refusal(find, port=silent.getsockname()[1])
    assert "cannot read from 127.0.0.1:" in said


def test_a_server_that_restarts_is_read_on(sftp, settings, by_line, waits):
    server = SftpServer({**settings, **by_line(20_000)})
    try:
        for _ in range(100):
            assert server.find(FOLDER)
    finally:
        server.close()
    assert waits == [2]


# Files and folders


def test_a_folder_that_is_missing_is_told(find, waits):
    assert refusal(find, "bank/nowhere/*.txt") == (
        "folder bank/nowhere does not exist: is path correct?"
    )
    assert waits == []


def test_what_the_user_may_not_read_is_told(sftp, settings, find):
    folder = f"closed-{uuid4()}"
    sftp.put(f"{folder}/secret.txt", b"x")
    sftp.sender.chmod(f"{folder}/secret.txt", 0)
    server = SftpServer(settings)
    try:
        (remote,) = server.find(f"{folder}/*")
        said = refusal(server.fetch, remote, io.BytesIO())
    finally:
        server.close()
    assert said == f"127.0.0.1:{sftp.port} does not allow {USER} to read {folder}/secret.txt"
    sftp.sender.chmod(folder, 0)
    assert refusal(find, f"{folder}/*") == f"the user may not list folder {folder}"


def test_a_name_that_is_not_utf_8_is_told(sftp, find):
    sftp.put("odd/1.txt", b"x")
    (sftp.home / "in/odd" / os.fsdecode(b"M\xfcller.txt")).touch()
    said = "folder odd contains a file whose name is not UTF-8; rename the file"
    assert refusal(find, "odd/*") == said


class FullDisk(io.BytesIO):
    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told(settings, waits):
    server = SftpServer(settings)
    try:
        remote = server.find(FOLDER)[0]
        said = refusal(server.fetch, remote, FullDisk())
    finally:
        server.close()
    assert said == (
        "no space for a copy of bank/bookings_1.txt in the folder for temporary files; set TMPDIR "
        "to a folder with more space"
    )
    assert waits == []


# The executable, and settings


def run_executable(config: dict, folder: Path, *words: str) -> str:
    """Run the tap, which fails, and return what it says."""
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    run = subprocess.run(
        [Path(sys.executable).with_name("tap-sftp"), "--config", file, *words],
        env={**os.environ, "TAP_SFTP_LOGLEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    return run.stderr


def test_the_executable_ends_in_one_line_without_secrets(sftp, tmp_path):
    sftp.put("bad/1.csv", b"a\nx\nx,y\n", LONG_AGO)
    entry = {"name": "bad", "path": "bad/*", "format": "csv"}
    config = {**sftp.settings, "private_key": sftp.private_key, "files": [entry]}
    said = run_executable(config, tmp_path)
    assert said.splitlines()[-1].endswith(
        "bad/1.csv:3: has 2 columns, but the header has 1; correct the file and send it "
        "again, or change the entry bad in files"
    )
    assert PASSWORD not in said
    assert sftp.private_key.splitlines()[1] not in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wrong"}, "are username and password or private_key correct?"),
        ({"host": None}, "None is not of type 'string' in config['host']"),
    ],
)
def test_discovery_ends_in_one_line_too(sftp, tmp_path, changes, said):
    config = {**sftp.settings, "files": FILES, **changes}
    assert run_executable(config, tmp_path, "--discover").splitlines()[-1].endswith(said)


BASE = {"host": "h", "username": "me", "password": "pw", "files": []}


def config_errors(**changes: object) -> list[str]:
    with pytest.raises(ConfigValidationError) as error:
        TapSftp(config={**BASE, **changes})
    return error.value.errors


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": None}, "set password or private_key"),
        (
            {"host": "sftp://h/x"},
            "host must be a host name or an address only, such as sftp.example.com",
        ),
        ({"host_key": "SHA256:abc"}, "host_key must be like ssh-ed25519 AAAAC3Nza..."),
        ({"host_key": "ssh-ed25519 abc"}, "host_key must be like ssh-ed25519 AAAAC3Nza..."),
        ({"start_date": "soon"}, "start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z"),
        (
            {"private_key": "abc"},
            "private_key cannot be read: it must be the text of a key that",
        ),
        (
            {"files": FILES[:1] * 2},
            "files: several entries are named bookings; give each a different name",
        ),
    ],
)
def test_settings_that_are_refused(changes, said):
    (error,) = config_errors(**changes)
    assert error.startswith(said)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"format": "fixed_width"}, "set columns: the files do not name them"),
        ({"format": "csv", "header_row": 0}, "set columns: the files do not name them"),
        (
            {"format": "xlsx", "delimiter": ";"},
            "delimiter does not apply to format xlsx; remove it",
        ),
        ({"format": "csv", "encoding": "latin-99"}, "encoding is unknown; it must be like utf-8"),
        ({"format": "csv", "primary_keys": ["_extra"]}, "primary_keys: _extra is not in columns"),
        (
            {"format": "xml", "columns": [{"name": "a", "path": "a"}]},
            "set record to the path of the elements that are rows, such as Document/Stmt/Ntry",
        ),
        (
            {"format": "xml", "record": "a", "columns": [{"name": "a"}]},
            "column a: set path, which format xml requires",
        ),
        (
            {"format": "csv", "columns": [{"name": "a", "width": 2}]},
            "column a: width does not apply to format csv; remove it",
        ),
        (
            {"format": "csv", "columns": [{"name": "a"}, {"name": "a"}]},
            "column a is in columns more than once",
        ),
        (
            {"format": "csv", "columns": [{"name": "_row"}]},
            "column _row has a name that is reserved for a column of the tap",
        ),
        (
            {"format": "csv", "columns": [{"name": "a", "type": "strings"}]},
            "column a: type strings is for format xml only",
        ),
        (
            {**FILES[0], "primary_keys": ["id"]},
            "primary_keys: id is not in columns",
        ),
        ({**FILES[0], "line_pattern": "("}, "line_pattern is not a regular expression: missing )"),
    ],
)
def test_entries_that_are_refused(entry, said):
    (error,) = config_errors(files=[{**entry, "name": "drops", "path": "*"}])
    assert error.startswith(f"files: drops: {said}")


def test_an_unknown_option_is_refused():
    (error,) = config_errors(files=[{"name": "a", "path": "*", "format": "csv", "delimeter": ";"}])
    assert "'delimeter' was unexpected" in error


def test_a_secret_of_the_wrong_type_is_not_repeated(caplog):
    caplog.set_level(logging.DEBUG)
    assert "***" in config_errors(password=12345678)[0]
    assert "12345678" not in caplog.text
