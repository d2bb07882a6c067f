"""A real OpenLDAP server with a company in it, for tests and to play with.

`python -m tests.connectors.servers.ldap_source` starts one, prints the settings of tap-ldap, and
waits.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from ldap3 import NONE, SUBTREE, Connection, Server
from tap_ldap.directory import VerifiedTls

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
ADMIN = f"cn=admin,{BASE}"
READER = f"cn=reader,{BASE}"
LIMITED = f"cn=limited,{BASE}"
STAFF = 3000
SIZE_LIMIT = 500
# A control: referrals and faults are entries like others.
MANAGE = [("2.16.840.1.113730.3.4.2", True, None)]
MISSING = "no OpenLDAP server: apt-get install slapd ldap-utils"
_SLAPD = Path("/usr/sbin/slapd")
_OWNER = "openldap"

# Who is not the reader gets SIZE_LIMIT entries and no more, in pages or not. With the overlay
# retcode, an entry of the class errAuxObject makes searches end with an error.
_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload retcode
{tls}
sizelimit {size_limit}

database config
rootdn "{admin}"

database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {password}
directory {folder}/data
maxsize 1073741824
dbnosync
index objectClass,entryUUID,modifyTimestamp eq
limits dn.exact="{reader}" size.prtotal=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
overlay retcode
retcode-parent "ou=faults,{base}"
retcode-indir
"""
# With it, passwords go over TLS only.
_TLS = """
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
security simple_bind=128
"""


@dataclass(frozen=True)
class Directory:
    """A running server, and how to reach it."""

    folder: Path
    port: int
    tls_port: int
    password: str

    @property
    def ca_file(self) -> str:
        return str(self.folder / "ca.pem")

    @property
    def settings(self) -> dict:
        """What tap-ldap needs to read all of it."""
        return {
            "url": f"ldap://localhost:{self.port}",
            "ca_file": self.ca_file,
            "bind_dn": READER,
            "password": self.password,
            "base_dn": BASE,
        }

    @contextmanager
    def administrator(self) -> Iterator[Connection]:
        """A connection that may change everything."""
        tls = VerifiedTls(ca_certs_file=self.ca_file)
        server = Server("localhost", self.tls_port, use_ssl=True, tls=tls, get_info=NONE)
        with Connection(
            server, ADMIN, self.password, raise_exceptions=True, return_empty_attributes=False
        ) as connection:
            yield connection

    @staticmethod
    def read(
        connection: Connection, base: str, search_filter: str, *attributes: str
    ) -> Iterator[tuple[str, dict[str, list[bytes]]]]:
        """Yield what matches, read without the tap."""
        found = connection.extend.standard.paged_search(
            base, search_filter, SUBTREE, attributes=attributes, controls=MANAGE, paged_size=400
        )
        return ((entry["dn"], entry["raw_attributes"]) for entry in found)


def _entry(dn: str, classes: str, **attributes: str | int | list[str] | bytes) -> str:
    """Return an entry as LDIF; all values in base64, so that nothing has to be escaped."""
    named = tuple(dn.partition(",")[0].split("="))
    lines = [("dn", dn), named, *(("objectClass", name) for name in classes.split())]
    for name, value in attributes.items():
        lines += [(name, each) for each in (value if isinstance(value, list) else [value])]
    encoded = (
        (name, b64encode(each if isinstance(each, bytes) else str(each).encode()).decode())
        for name, each in lines
    )
    return "\n".join(f"{name}:: {value}" for name, value in encoded) + "\n\n"


def person_dn(number: int) -> str:
    """Return the DN of one of the staff."""
    return f"uid=p{number:05},{PEOPLE}"


def _company(password: str, staff: int) -> Iterator[str]:
    """Yield everything that the server holds, the same each time but for the password."""
    chance = random.Random(20261127)  # noqa: S311
    first = ["Ada", "Björn", "Chloé", "Łukasz", "Nils", "Œdipe", "Søren", "Zoë"]
    last = ["Åberg", "Ferrari", "Nguyễn", "O'Neill", "Smith, Jr.", "Öztürk", "van Dijk", "王"]
    yield _entry(BASE, "dcObject organization", o="Example")
    yield _entry(PEOPLE, "organizationalUnit")
    yield _entry(GROUPS, "organizationalUnit")
    for dn in (READER, LIMITED):
        yield _entry(dn, "organizationalRole simpleSecurityObject", userPassword=password)
    for number in range(staff):
        given, family = chance.choice(first), chance.choice(last)
        yield _entry(
            person_dn(number),
            "inetOrgPerson posixAccount",
            cn=f"{given} {family}",
            givenName=given,
            sn=family,
            mail=[f"p{number}@example.org", f"{number}@mail.example.org"][: 1 + number % 2],
            employeeNumber=number,
            manager=person_dn(number // 10),
            uidNumber=10000 + number,
            gidNumber=500,
            homeDirectory=f"/home/p{number}",
            jpegPhoto=b"\xff\xd8\xff" + chance.randbytes(8),
            userPassword=f"hash-of-{password}",
        )
    everyone = [person_dn(number) for number in range(staff)]
    teams = [f"cn=team{number},{GROUPS}" for number in range(40)]
    for number, dn in enumerate(teams):
        some = chance.sample(everyone, 1 + number)
        yield _entry(dn, "groupOfNames", member=some, owner=some[0])
    yield _entry(f"cn=everyone,{GROUPS}", "groupOfNames", member=everyone)
    yield _entry(f"cn=department,{GROUPS}", "groupOfNames", member=[*teams[:3], everyone[7]])
    yield _entry(f"cn=board,{GROUPS}", "groupOfUniqueNames", uniqueMember=everyone[:5])
    yield _entry(f"cn=staff,{GROUPS}", "posixGroup", gidNumber=500, memberUid=["p00001", "p00002"])


def _pour(directory: Directory, entries: Iterator[str]) -> None:
    """Add entries through LDAP, as any administrator would."""
    url = f"ldap://127.0.0.1:{directory.port}"
    password = directory.folder / "password"
    subprocess.run(
        ["ldapadd", "-x", "-ZZ", "-H", url, "-D", ADMIN, "-y", password],
        input="".join(entries),
        env={**os.environ, "LDAPTLS_CACERT": directory.ca_file},
        check=True,
        capture_output=True,
        text=True,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as candidate:
        return int(candidate.getsockname()[1])


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    while server.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise RuntimeError(f"slapd ended at once, with status {server.returncode}")


@contextmanager
def running_directory(*, tls: bool = True, staff: int = STAFF) -> Iterator[Directory]:
    """Run a server in a folder of its own; without TLS it has nothing in it."""
    with tempfile.TemporaryDirectory(prefix="ldap-") as name:
        directory = Directory(Path(name), _free_port(), _free_port(), secrets.token_urlsafe(16))
        _configure(directory, tls=tls)
        urls = [f"ldap://127.0.0.1:{directory.port}"]
        if tls:
            urls += [f"ldaps://127.0.0.{last}:{directory.tls_port}" for last in (1, 2)]
        # -d keeps it in the foreground, a child of this process.
        command = [_SLAPD, "-d", "0", "-f", directory.folder / "slapd.conf", "-h", " ".join(urls)]
        with subprocess.Popen(command, user=_OWNER if os.geteuid() == 0 else None) as server:
            try:
                _await(directory.port, server)
                if tls:
                    _pour(directory, _company(directory.password, staff))
                yield directory
            finally:
                server.terminate()


def _configure(directory: Directory, *, tls: bool) -> None:
    folder = directory.folder
    (folder / "data").mkdir()
    ca = trustme.CA()
    # ldapadd wants a name beside the list of names.
    certificate = ca.issue_cert("localhost", "127.0.0.1", common_name="localhost")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text(directory.password)
    (folder / "slapd.conf").write_text(
        _CONFIG.format(
            folder=folder,
            tls=_TLS.format(folder=folder) if tls else "",
            size_limit=SIZE_LIMIT,
            base=BASE,
            admin=ADMIN,
            reader=READER,
            password=directory.password,
        )
    )
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, _OWNER, _OWNER)


@pytest.fixture(scope="session")
def ldap_directory(sources_process: None) -> Iterator[Directory]:
    """A real OpenLDAP server with a company in it."""
    if not (_SLAPD.exists() and shutil.which("ldapadd")):
        pytest.skip(MISSING)
    with running_directory() as running:
        yield running


def main() -> None:
    """Run a server until Ctrl-C, or until this process is told to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with running_directory() as directory:
        for name, value in directory.settings.items():
            print(f"export TAP_LDAP_{name.upper()}='{value}'")
        print("OpenLDAP runs; Ctrl-C stops it.", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
