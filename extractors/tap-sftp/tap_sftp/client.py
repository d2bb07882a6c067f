"""The SFTP server: logging in, finding and fetching files, and retries."""

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
"""Seconds to wait for a response."""

KEEPALIVE = 30
"""Seconds. Routers drop a connection that is idle while a large file is processed."""

REQUEST_SIZE = 2**21
"""Bytes of a file per request, large enough that latency to a distant server matters little."""

KEY_TYPES = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

RETRIABLE_ERRORS = (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError)
"""Errors after which a retry may succeed, unless they are in FINAL_ERRORS."""

FINAL_ERRORS = (
    FileNotFoundError,
    PermissionError,
    paramiko.AuthenticationException,
    paramiko.BadHostKeyException,
    IncompatiblePeer,
)

T = TypeVar("T")
logger = logging.getLogger(__name__)


class SftpServer:
    """An SFTP server, connected to on first use and again after a lost connection.

    Args:
        config: The tap's settings.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._ssh: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None
        self._name = f"{config['host']}:{config['port']}"
        # paramiko logs tracebacks of errors that the tap reports in one line.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)

    def find(self, pattern: str) -> list[RemoteFile]:
        """Return the files whose path matches a pattern, the oldest first."""
        return sorted(self._run(lambda sftp: list(list_files(sftp, pattern)), pattern))

    def fetch(self, remote: RemoteFile, target: IO[bytes]) -> bool:
        """Copy a file, and return whether it has not changed since it was listed."""

        def copy(sftp: paramiko.SFTPClient) -> bool:
            target.seek(0)
            target.truncate()
            with sftp.open(remote.path, "rb") as file:
                if not remote.is_unchanged(file.stat()):
                    return False
                for start in range(0, remote.size, REQUEST_SIZE):
                    for block in file.readv([(start, min(REQUEST_SIZE, remote.size - start))]):
                        target.write(block)
            return remote.is_unchanged(sftp.stat(remote.path)) and target.tell() == remote.size

        try:
            return self._run(copy, remote.path)
        except FileNotFoundError:
            return False

    def peek(self, remote: RemoteFile, read: Callable[[IO[bytes]], T]) -> T:
        """Return the result of reading a file in place, without fetching all of it."""

        def read_in_place(sftp: paramiko.SFTPClient) -> T:
            with sftp.open(remote.path, "rb", 2**15) as file:
                return read(cast("IO[bytes]", file))

        return self._run(read_in_place, remote.path)

    def close(self) -> None:
        """Log out."""
        if self._ssh:
            self._ssh.close()
        self._ssh = self._sftp = None

    def _run(self, action: Callable[[paramiko.SFTPClient], T], path: str) -> T:
        """Run an action on the server, with up to five attempts if connections are lost."""
        with_retries = backoff.on_exception(
            backoff.expo,
            RETRIABLE_ERRORS,
            max_tries=5,
            giveup=_is_final,
            on_backoff=self._log_retry,
            on_giveup=lambda _: self.close(),
            jitter=None,
            factor=2,
            logger=None,
        )
        try:
            return with_retries(lambda: action(self._connected()))()
        except FileNotFoundError:
            raise
        except PermissionError:
            raise TapSftpError(
                f"{self._name} does not allow {self._config['username']} to read {path}"
            ) from None
        except paramiko.BadHostKeyException as error:
            raise TapSftpError(
                f"the host key of {self._name} has changed to {error.key.fingerprint} "
                f"({error.key.get_name()}): the server was replaced, or another computer "
                "intercepts the connection; ask its administrator before you set host_key to it"
            ) from None
        except paramiko.AuthenticationException as error:
            raise TapSftpError(
                f"{self._name} rejects the login of {self._config['username']}: {_line(error)}; "
                "are username and password or private_key correct?"
            ) from None
        except RETRIABLE_ERRORS as error:
            if _is_full_disk(error):
                raise TapSftpError(
                    f"no space for a copy of {path} in the folder for temporary files; set TMPDIR "
                    "to a folder with more space"
                ) from None
            raise TapSftpError(
                f"cannot read from {self._name}: {_line(error)}; are host and port correct, and "
                "is it an SFTP server?"
            ) from None

    def _log_retry(self, details: Any) -> None:
        self.close()
        error = _line(details["exception"])
        logger.warning("%s: %s; retrying in %d s", self._name, error, details["wait"])

    def _connected(self) -> paramiko.SFTPClient:
        if self._sftp:
            return self._sftp
        config = self._config
        host, port = config["host"], config["port"]
        name = host if port == paramiko.config.SSH_PORT else f"[{host}]:{port}"
        self._ssh = ssh = paramiko.SSHClient()
        ssh.set_missing_host_key_policy(host_keys.RejectUnknown())
        known = host_keys.known_keys(name, config.get("host_key"), config.get("known_hosts"))
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
    """Return the key in the setting `private_key`, decrypted with its passphrase."""
    if not config.get("private_key"):
        return None
    # Files of environment variables often contain a line break as the two characters \n.
    text = config["private_key"].replace("\\n", "\n").strip() + "\n"
    for kind in KEY_TYPES:
        try:
            return kind.from_private_key(io.StringIO(text), config.get("private_key_passphrase"))
        except paramiko.PasswordRequiredException:
            raise TapSftpError("private_key is encrypted: set private_key_passphrase") from None
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise TapSftpError(
        "private_key cannot be read: it must be the text of a key that begins with BEGIN OPENSSH, "
        "RSA or EC PRIVATE KEY (ssh-keygen -p converts other keys), and private_key_passphrase "
        "must be its passphrase"
    )


def _is_final(error: Exception) -> bool:
    return isinstance(error, FINAL_ERRORS) or _is_full_disk(error)


def _is_full_disk(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _line(error: BaseException) -> str:
    """Return the text of an error in one line, or the name of its type if it has none."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__
