"""A real OpenSSH server with files that a bank, a shop and an old ERP have dropped.

`python -m tests.connectors.servers.sftp_source` starts it to play with. The server is private: it
runs as an ordinary user, in a folder of its own, and knows that one user by way of nss_wrapper.
"""

import contextlib
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko
import pytest

from tests.connectors.servers.sftp_files import FILES, LONG_AGO, drops
from tests.support.running import free_port, wait_until

SSHD = Path("/usr/sbin/sshd")
USER = "dropoff"
PASSWORD = "only-for-tests"  # noqa: S105
_PASSWORD_HASH = (
    "$6$dropofftests$w1YuoygUccQ3d1WfJkqYKQVewJp1qEPlI/"  # noqa: S105
    "YPvOMBNaUTvfpf2ATcovTglPIFnNUv0JKSg5VWnQeYe/iNxcv4o/"
)
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host_key
HostKey {home}/old_host_key
PidFile none
AuthorizedKeysFile {home}/client_key.pub
AuthenticationMethods any
UsePAM no
StrictModes no
MaxStartups 100
Subsystem sftp internal-sftp
"""


@dataclass
class SftpSource:
    """A server, and how to reach it."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    _logins: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def private_key(self) -> str:
        return (self.home / "client_key").read_text()

    @property
    def host_key(self) -> str:
        return (self.home / "host_key.pub").read_text().strip()

    @property
    def settings(self) -> dict:
        """Return the tap's settings, less its files."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "username": USER,
            "password": PASSWORD,
            "host_key": self.host_key,
        }

    @cached_property
    def sender(self) -> paramiko.SFTPClient:
        """The login of whoever sends files."""
        ssh = paramiko.SSHClient()
        ssh.load_host_keys(str(self.home / "known_hosts"))
        ssh.connect(
            "127.0.0.1",
            self.port,
            USER,
            PASSWORD,
            allow_agent=False,
            look_for_keys=False,
            banner_timeout=60,
            auth_timeout=60,
        )
        self._logins.callback(ssh.close)
        return ssh.open_sftp()

    def put(self, path: str, content: bytes, modified: int = LONG_AGO) -> None:
        """Upload a file, with the time of its last change as the sender's clients do it."""
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            with contextlib.suppress(OSError):
                self.sender.mkdir(str(folder))
        with self.sender.open(path, "wb") as file:
            file.set_pipelined(True)
            file.write(content)
        self.sender.utime(path, (modified, modified))

    def start(self) -> None:
        """Start the server, and return when it answers."""
        wrapper = {
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": str(self.home / "passwd"),
            "NSS_WRAPPER_GROUP": str(self.home / "group"),
            "NSS_WRAPPER_SHADOW": str(self.home / "shadow"),
        }
        with (self.home / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.home / "sshd_config"],
                stderr=log,
                env={**os.environ, **wrapper},
                start_new_session=True,
                **_as_owner(),
            )
        wait_until(self._answers, 60, "an answer of sshd")

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.home / "sshd.log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server, and with it the sessions that it serves."""
        self._logins.close()
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(60)
            self.process = None


def _owner() -> pwd.struct_passwd:
    """Return whom the server runs as: never root, whose server would need /run/sshd."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _as_owner() -> dict[str, Any]:
    """Return the options that make a process of root's the owner's."""
    if os.geteuid() != 0:
        return {}
    owner = _owner()
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def missing() -> str:
    """Return what to install, or nothing."""
    wrapper = list(Path("/usr/lib").glob("*/libnss_wrapper.so"))
    if SSHD.exists() and wrapper:
        return ""
    return "no SSH server: apt-get install openssh-server libnss-wrapper"


def _prepare(home: Path, port: int) -> None:
    kinds = {"host_key": "ed25519", "old_host_key": "rsa", "client_key": "ed25519"}
    for name, kind in kinds.items():
        argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", home / name]
        subprocess.run(argv, check=True)
    owner = _owner()
    ids = f"{owner.pw_uid}:{owner.pw_gid}"
    (home / "in").mkdir()
    (home / "sshd_config").write_text(CONFIG.format(port=port, home=home))
    (home / "passwd").write_text(f"{USER}:x:{ids}::{home / 'in'}:/bin/sh\n")
    (home / "group").write_text(f"{USER}:x:{owner.pw_gid}:\n")
    (home / "shadow").write_text(f"{USER}:{_PASSWORD_HASH}:19000:0:99999:7:::\n")
    host_key = (home / "host_key.pub").read_text()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    if os.geteuid() == 0:
        for path in (home, *home.iterdir()):
            shutil.chown(path, owner.pw_uid, owner.pw_gid)


@contextmanager
def running_sftp() -> Iterator[SftpSource]:
    """Run a server with the seeded files, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="sftp-") as folder:
        source = SftpSource(Path(folder), free_port())
        _prepare(source.home, source.port)
        try:
            source.start()
            for path, content in drops():
                source.put(path, content)
            yield source
        finally:
            source.stop()


@pytest.fixture(scope="session")
def sftp(sources_process: None) -> Iterator[SftpSource]:
    """A running server; tests put their own files into folders of their own."""
    if reason := missing():
        pytest.skip(reason)
    with running_sftp() as source:
        yield source


def main() -> None:
    """Run a server until Ctrl-C."""
    if reason := missing():
        raise SystemExit(reason)
    with running_sftp() as source:
        for name, value in {**source.settings, "files": json.dumps(FILES)}.items():
            print(f"export TAP_SFTP_{name.upper()}={shlex.quote(str(value))}")
        print("# Ctrl-C stops it", flush=True)
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
