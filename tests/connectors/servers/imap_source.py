"""A real Dovecot with a mailbox full of invoices, replies and odd mail, for tests and to play with.

`python -m tests.connectors.servers.imap_source` starts one, prints the settings of tap-imap, and
waits.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import secrets
import shlex
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
from imapclient import IMAPClient

from tests.connectors.servers.imap_mails import MAILS

MISSING = "no Dovecot server: apt-get install dovecot-imapd"
USER = "books@example.com"
# Whose mailboxes count no changes, as on a server without CONDSTORE.
PLAIN_USER = "plain@example.com"
PASSWORD = "pässwörd " + secrets.token_urlsafe(12)
TOKEN_KEY = secrets.token_hex(32)
CONNECTIONS = 6
# On this address, Dovecot takes no password in clear.
STRICT_HOST = "127.0.0.2"
_SERVER = Path("/usr/sbin/dovecot")
_OWNER = "dovecot"
_CONFIG = """
protocols = imap
listen = 127.0.0.1, {strict_host}
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
default_internal_user = {owner}
default_internal_group = {group}
default_login_user = {owner}
first_valid_uid = 1
mail_home = {folder}/mail/%u
mail_location = mdbox:~/mdbox
mail_fsync = never
mail_max_userip_connections = {connections}
auth_failure_delay = 0
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
ssl_dh =
local {strict_host} {{
  ssl = required
}}
auth_mechanisms = plain xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain
  args = scheme=PLAIN username_format=%u {folder}/passwords
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/passwords
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
}}
service anvil {{
  chroot =
  # Or each refused login would make the next one slower.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
"""
_OAUTH_CONFIG = """
introspection_mode = local
username_attribute = email
local_validation_key_dict = fs:posix:prefix={folder}/keys/
"""


@dataclass(frozen=True)
class MailSource:
    """A running Dovecot, and how to reach it.

    Attributes:
        folder: Where its configuration and its mail are.
        port: Where it takes STARTTLS, or no encryption.
        tls_port: Where it speaks TLS from the start.
    """

    folder: Path
    port: int
    tls_port: int

    host = "127.0.0.1"

    @property
    def certificate(self) -> Path:
        """The certificate that vouches for the server's."""
        return self.folder / "certificate.pem"

    def settings(self, user: str = USER) -> dict[str, object]:
        """Return settings of tap-imap, which needs SSL_CERT_FILE=certificate beside them."""
        return {
            "host": self.host,
            "port": self.tls_port,
            "username": user,
            "password": PASSWORD,
            "mailboxes": ["*"],
        }

    @contextmanager
    def mail_program(self, user: str = USER) -> Iterator[IMAPClient]:
        """Log in as the mail program of a user."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        with IMAPClient(self.host, self.tls_port, ssl_context=trust, timeout=60) as client:
            client.normalise_times = False
            client.plain_login(user, PASSWORD)
            yield client

    def token(self, user: str = USER) -> str:
        """Return what an OAuth server would give: Dovecot takes what TOKEN_KEY has signed."""
        now = int(time.time())
        claims = {"sub": user, "email": user, "iat": now, "nbf": now, "exp": now + 3600}
        return jwt.encode(claims, TOKEN_KEY, algorithm="HS256")

    def kick(self, user: str = USER) -> None:
        """Cut all connections of a user."""
        command = ["/usr/bin/doveadm", "-c", self.folder / "dovecot.conf", "kick", user]
        subprocess.run(command, check=True, capture_output=True)


def fill(source: MailSource) -> None:
    """Put the same mails into the mailboxes at every start."""
    with source.mail_program() as client:
        for mail in MAILS:
            if not client.folder_exists(mail.mailbox):
                client.create_folder(mail.mailbox)
            client.append(mail.mailbox, mail.content, mail.flags, mail.received_at)


@contextmanager
def running_dovecot() -> Iterator[MailSource]:
    """Run a server with empty mailboxes, as an ordinary user and in a folder of its own."""
    owner = pwd.getpwnam(_OWNER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with tempfile.TemporaryDirectory(prefix="dovecot-") as name:
        source = MailSource(Path(name), *_free_ports(2))
        _configure(source, owner)
        os.chown(name, owner.pw_uid, owner.pw_gid)
        user = owner.pw_name if os.geteuid() == 0 else None
        argv = [_SERVER, "-F", "-c", source.folder / "dovecot.conf"]
        server = subprocess.Popen(argv, user=user, group=owner.pw_gid if user else None)
        try:
            _wait_until_it_answers(server, source)
            yield source
        finally:
            server.terminate()
            server.wait(60)


def _configure(source: MailSource, owner: pwd.struct_passwd) -> None:
    folder = source.folder
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", folder / "key.pem", "-out", source.certificate]
    names = ["-subj", "/CN=dovecot", "-addext", "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"]
    make = ["openssl", "req", "-x509", "-days", "2", *key, *files, *names]
    subprocess.run(make, check=True, capture_output=True)
    secret = f"{{PLAIN.b64}}{b64encode(PASSWORD.encode()).decode()}"
    ids = f"{owner.pw_uid}:{owner.pw_gid}"
    users = [
        f"{USER}:{secret}:{ids}::::",
        f"{PLAIN_USER}:{secret}:{ids}::::userdb_mail=maildir:~/maildir:INDEX=MEMORY",
    ]
    (folder / "passwords").write_text("\n".join(users))
    (folder / "dovecot.conf").write_text(
        _CONFIG.format(
            folder=folder,
            owner=owner.pw_name,
            group=grp.getgrgid(owner.pw_gid).gr_name,
            connections=CONNECTIONS,
            port=source.port,
            tls_port=source.tls_port,
            strict_host=STRICT_HOST,
        )
    )
    (folder / "oauth2.conf").write_text(_OAUTH_CONFIG.format(folder=folder))
    # Dovecot looks for KEYS/client/algorithm/key.
    keys = folder / "keys/default/HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_text(b64encode(TOKEN_KEY.encode()).decode())
    (folder / "mail").mkdir()
    for path in folder.rglob("*"):
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _free_ports(count: int) -> list[int]:
    candidates = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [candidate.getsockname()[1] for candidate in candidates]
    for candidate in candidates:
        candidate.close()
    return ports


def _wait_until_it_answers(server: subprocess.Popen[bytes], source: MailSource) -> None:
    end = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection((source.host, source.tls_port), 1):
            return
        log = source.folder / "log"
        said = log.read_text() if log.exists() else ""
        assert server.poll() is None, f"Dovecot did not start: {said}"
        assert time.monotonic() < end, f"Dovecot does not answer: {said}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def mail_source(sources_process: None) -> Iterator[MailSource]:
    """A Dovecot with the mails of imap_mails.py."""
    if not _SERVER.exists():
        pytest.skip(MISSING)
    with running_dovecot() as source:
        fill(source)
        yield source


def main() -> None:
    """Run a server until Ctrl-C, or until it is told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_dovecot() as source:
        fill(source)
        print(f"export SSL_CERT_FILE={source.certificate}")
        for name, value in source.settings().items():
            text = value if isinstance(value, str) else json.dumps(value)
            print(f"export TAP_IMAP_{name.upper()}={shlex.quote(str(text))}")
        print("# tap-imap --config=ENV reads it. Ctrl-C ends it and forgets its mail.", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
