"""A branch of the directory of `ldap_source` for one test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from ldap3 import MODIFY_REPLACE, Connection
from ldap3.core.exceptions import LDAPNoSuchObjectResult

from tests.connectors.servers.ldap_source import BASE, MANAGE, Directory

# A control: operational attributes, such as modifyTimestamp, may be written.
RELAX = [("1.3.6.1.4.1.4203.666.5.12", True, None)]


class Place:
    """A branch of the directory that a test has for itself, and what a person does in it.

    Args:
        directory: The running server.
        admin: A connection that may change everything.
    """

    def __init__(self, directory: Directory, admin: Connection) -> None:
        self.admin = admin
        self.dn = f"ou={uuid4()},{BASE}"
        self.settings = {**directory.settings, "base_dn": self.dn}
        admin.add(self.dn, ["organizationalUnit"])

    def person(self, uid: str, **attributes: object) -> str:
        """Add a person, and return the DN."""
        return self._add(f"uid={uid}", ["inetOrgPerson"], {"cn": uid, "sn": uid, **attributes})

    def group(
        self,
        name: str,
        members: list[str],
        classes: tuple[str, ...] = ("groupOfNames",),
        **attributes: object,
    ) -> str:
        """Add a group, and return its DN."""
        if members:
            attributes["member"] = members
        return self._add(f"cn={name}", list(classes), attributes)

    def referral(self, name: str, url: str) -> str:
        """Add an entry that says: what you look for is there."""
        classes = ["referral", "extensibleObject"]
        return self._add(f"ou={name}", classes, {"ref": url}, MANAGE)

    @contextmanager
    def fault(self, code: int) -> Iterator[Callable[[], None]]:
        """Have searches for people here end with an error, until the block or the given ends it."""
        classes = ["person", "errAuxObject"]
        dn = self._add("cn=fault", classes, {"sn": "fault", "errCode": code}, MANAGE)

        def end() -> None:
            with suppress(LDAPNoSuchObjectResult):
                self.admin.delete(dn, controls=MANAGE)

        try:
            yield end
        finally:
            end()

    @contextmanager
    def unstamped(self) -> Iterator[None]:
        """Have new entries get neither dates nor an entryUUID, as with `lastmod off`."""
        self.admin.search("cn=config", "(olcSuffix=*)", attributes=["olcLastMod"])
        database = self.admin.response[0]["dn"]
        self.admin.modify(database, {"olcLastMod": [(MODIFY_REPLACE, ["FALSE"])]})
        try:
            yield
        finally:
            self.admin.modify(database, {"olcLastMod": [(MODIFY_REPLACE, ["TRUE"])]})

    def clear(self) -> None:
        """Remove the branch."""
        found = [dn for dn, _ in Directory.read(self.admin, self.dn, "(objectClass=*)")]
        for dn in sorted(found, key=len, reverse=True):
            self.admin.delete(dn, controls=MANAGE)

    def _add(self, name: str, classes: list[str], attributes: dict, controls: list = RELAX) -> str:
        dn = f"{name},{self.dn}"
        self.admin.add(dn, classes, attributes, controls=controls)
        return dn
