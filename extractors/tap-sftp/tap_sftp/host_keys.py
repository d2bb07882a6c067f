"""Host keys, which identify a server and are always checked."""

from __future__ import annotations

import binascii
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from tap_sftp.errors import TapSftpError

DEFAULT_FILE = Path("~/.ssh/known_hosts")


class RejectUnknown(paramiko.MissingHostKeyPolicy):
    """Rejects a server without a known host key, and says how to add the key."""

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002
        hostname: str,
        key: paramiko.PKey,
    ) -> None:
        """Raise an error with the key, which is public."""
        raise TapSftpError(
            f"the host key of {hostname} is not known: it is {key.fingerprint} "
            f"({key.get_name()}). Ask the server's administrator whether it is correct, and then "
            f"set host_key to: {key.get_name()} {key.get_base64()}"
        )


def parse(text: str) -> list[paramiko.PKey]:
    """Return the keys of the setting `host_key`.

    Args:
        text: One key per line in the format of `ssh-keyscan` or a .pub file, with or without a
            host.

    Raises:
        ValueError: A line contains no key.
    """
    keys = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not words[0].startswith(_KEY_TYPE_PREFIXES):
            del words[0]
        try:
            kind, encoded = words[:2]
            keys.append(paramiko.PKey.from_type_string(kind, binascii.a2b_base64(encoded)))
        except (ValueError, paramiko.SSHException, UnknownKeyType):
            raise ValueError("host_key must be like ssh-ed25519 AAAAC3Nza...") from None
    return keys


_KEY_TYPE_PREFIXES = ("ssh-", "ecdsa-")


def known_keys(name: str, host_key: str | None, known_hosts: str | None) -> paramiko.HostKeys:
    """Return the host keys that are accepted from a server.

    Args:
        name: The server's name in known_hosts files.
        host_key: The setting `host_key`. If it is set, only its keys are accepted.
        known_hosts: The path of a known_hosts file; if not set, the user's file.
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
