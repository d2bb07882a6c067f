"""What the tests of an extractor share."""

from collections.abc import Iterator

import pytest

from tests.connectors.servers.ldap_source import Directory
from tests.support.ldap_place import Place


@pytest.fixture
def place(ldap_directory: Directory) -> Iterator[Place]:
    """A branch of the directory for one test."""
    with ldap_directory.administrator() as admin:
        place = Place(ldap_directory, admin)
        yield place
        place.clear()
