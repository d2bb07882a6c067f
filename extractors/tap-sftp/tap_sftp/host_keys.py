"""Which server it is that answers: host keys are always checked."""

from __future__ import annotations

import binascii
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from tap_sftp.errors import TapSftpError

DEFAULT_FILE = Path("~/.ssh/known_hosts")


class RefuseUnknown(paramiko.MissingHostKeyPolicy):
    """Refuse a server that nobody knows, and say how to make it known."""

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,
        key: paramiko.PKey,
    ) -> None:
        """Raise one line with the key, which is public."""
        raise TapSftpError(
            f"the host key of {hostname} is not known: it shows {key.fingerprint} "
            f"({key.get_name()}). Ask who runs the server whether that is its own, and then set "
            f"host_key to: {key.get_name()} {key.get_base64()}"
        )


def parse(text: str) -> list[paramiko.PKey]:
    """Return the keys of the setting `host_key`.

    Args:
        text: A key a line, as `ssh-keyscan` or a .pub file has it, with or without a host.

    Raises:
        ValueError: A line holds no key.
    """
    keys = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not words[0].startswith(_KINDS):
            del words[0]
        try:
            kind, encoded = words[:2]
            keys.append(paramiko.PKey.from_type_string(kind, binascii.a2b_base64(encoded)))
        except (ValueError, paramiko.SSHException, UnknownKeyType):
            raise ValueError("host_key must be like ssh-ed25519 AAAAC3Nza...") from None
    return keys


_KINDS = ("ssh-", "ecdsa-")


def known(name: str, host_key: str | None, known_hosts: str | None) -> paramiko.HostKeys:
    """Return the keys that the server may have.

    Args:
        name: The server, as known_hosts files name it.
        host_key: The setting of that name, which alone counts if it is set.
        known_hosts: Path of a known_hosts file; that of the user, if not set.
    """
    keys = paramiko.HostKeys()
    if host_key:
        for key in parse(host_key):
            keys.add(name, key.get_name(), key)
        return keys
    file = Path(known_hosts or DEFAULT_FILE).expanduser()
    if known_hosts or file.exists():
        try:
            keys.load(str(file))
        except OSError as error:
            raise TapSftpError(f"known_hosts: cannot read {file}: {error.strerror}") from None
    return keys
