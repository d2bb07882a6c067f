"""The SFTP server: logging in, finding files, fetching them, and trying again."""

from __future__ import annotations

import errno
import io
import logging
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar, cast

import backoff
import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from tap_sftp import host_keys
from tap_sftp.errors import TapSftpError
from tap_sftp.listing import RemoteFile, list_files

TIMEOUT = 60
"""Seconds without an answer after which a server is given up."""

KEEPALIVE = 30
"""Seconds; routers forget a connection that is silent while a large file is read."""

WINDOW = 2**21
"""Bytes of a file that are asked for at a time: more than a distant server sends in a moment."""

KEY_TYPES = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

LOST = (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError)
"""What may go well when it is tried again, unless it is one of FINAL."""

FINAL = (
    FileNotFoundError,
    PermissionError,
    paramiko.AuthenticationException,
    paramiko.BadHostKeyException,
    IncompatiblePeer,
)

T = TypeVar("T")
logger = logging.getLogger(__name__)


class SftpServer:
    """A connection that is made when it is first used, and anew when it was lost.

    Args:
        config: The tap's settings.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._ssh: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None
        self._name = f"{config['host']}:{config['port']}"
        # It tells in tracebacks what is told here in a line.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)

    def find(self, pattern: str) -> list[RemoteFile]:
        """Return the files whose path matches, the oldest first."""
        return sorted(self._try(lambda sftp: list(list_files(sftp, pattern)), pattern))

    def fetch(self, remote: RemoteFile, target: IO[bytes]) -> bool:
        """Copy a file, and return whether it is still as it was listed."""

        def copy(sftp: paramiko.SFTPClient) -> bool:
            target.seek(0)
            target.truncate()
            with sftp.open(remote.path, "rb") as file:
                if not remote.is_like(file.stat()):
                    return False
                for start in range(0, remote.size, WINDOW):
                    for block in file.readv([(start, min(WINDOW, remote.size - start))]):
                        target.write(block)
            return remote.is_like(sftp.stat(remote.path)) and target.tell() == remote.size

        try:
            return self._try(copy, remote.path)
        except FileNotFoundError:
            return False

    def peek(self, remote: RemoteFile, read: Callable[[IO[bytes]], T]) -> T:
        """Return what is read of a file that is not fetched as a whole."""

        def look(sftp: paramiko.SFTPClient) -> T:
            with sftp.open(remote.path, "rb", 2**15) as file:
                return read(cast("IO[bytes]", file))

        return self._try(look, remote.path)

    def close(self) -> None:
        """Log out."""
        if self._ssh:
            self._ssh.close()
        self._ssh = self._sftp = None

    def _try(self, action: Callable[[paramiko.SFTPClient], T], what: str) -> T:
        """Do something on the server, up to five times if connections are lost."""
        retry = backoff.on_exception(
            backoff.expo,
            LOST,
            max_tries=5,
            giveup=_is_final,
            on_backoff=self._note,
            on_giveup=lambda _: self.close(),
            jitter=None,
            factor=2,
            logger=None,
        )
        try:
            return retry(lambda: action(self._connected()))()
        except FileNotFoundError:
            raise
        except PermissionError:
            raise TapSftpError(
                f"{self._name} lets {self._config['username']} not read {what}"
            ) from None
        except paramiko.BadHostKeyException as error:
            raise TapSftpError(
                f"{self._name} shows another host key than the one that is known, "
                f"{error.key.fingerprint} ({error.key.get_name()}): it is not the server it was, "
                "or somebody is in between; ask who runs it, and then set host_key"
            ) from None
        except paramiko.AuthenticationException as error:
            raise TapSftpError(
                f"{self._name} does not let {self._config['username']} in: {_line(error)}; are "
                "username and password or private_key right?"
            ) from None
        except LOST as error:
            if _is_full_disk(error):
                raise TapSftpError(
                    f"no room for a copy of {what} in the folder for temporary files; set TMPDIR"
                ) from None
            raise TapSftpError(
                f"cannot read from {self._name}: {_line(error)}; are host and port right, and "
                "does it serve SFTP?"
            ) from None

    def _note(self, details: Any) -> None:
        self.close()
        error = _line(details["exception"])
        logger.warning("%s: %s; trying again in %d s", self._name, error, details["wait"])

    def _connected(self) -> paramiko.SFTPClient:
        if self._sftp:
            return self._sftp
        config = self._config
        host, port = config["host"], config["port"]
        name = host if port == paramiko.config.SSH_PORT else f"[{host}]:{port}"
        self._ssh = ssh = paramiko.SSHClient()
        ssh.set_missing_host_key_policy(host_keys.RefuseUnknown())
        known = host_keys.known(name, config.get("host_key"), config.get("known_hosts"))
        ssh.get_host_keys().update(known)
        ssh.connect(
            host,
            port,
            config["username"],
            config.get("password"),
            pkey=private_key(config),
            allow_agent=False,
            look_for_keys=False,
            timeout=TIMEOUT,
            banner_timeout=TIMEOUT,
            auth_timeout=TIMEOUT,
            channel_timeout=TIMEOUT,
        )
        cast("paramiko.Transport", ssh.get_transport()).set_keepalive(KEEPALIVE)
        self._sftp = ssh.open_sftp()
        cast("paramiko.Channel", self._sftp.get_channel()).settimeout(TIMEOUT)
        return self._sftp


def private_key(config: Mapping[str, Any]) -> paramiko.PKey | None:
    """Return the setting `private_key`, unlocked."""
    if not config.get("private_key"):
        return None
    # Files of environment variables often have line ends as these two characters.
    text = config["private_key"].replace("\\n", "\n").strip() + "\n"
    for kind in KEY_TYPES:
        try:
            return kind.from_private_key(io.StringIO(text), config.get("private_key_passphrase"))
        except paramiko.PasswordRequiredException:
            raise TapSftpError("private_key is locked: set private_key_passphrase") from None
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise TapSftpError(
        "private_key cannot be read: it must be the text of a key that begins with BEGIN OPENSSH, "
        "RSA or EC PRIVATE KEY (ssh-keygen -p makes others such), and private_key_passphrase that "
        "which unlocks it"
    )


def _is_final(error: Exception) -> bool:
    return isinstance(error, FINAL) or _is_full_disk(error)


def _is_full_disk(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _line(error: BaseException) -> str:
    """Return what an error says, or at least its kind, in one line."""
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(said.split()) or type(error).__name__
