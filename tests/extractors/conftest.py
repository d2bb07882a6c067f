"""What the tests of an extractor share."""

from collections.abc import Iterator

import pytest
from ldap_place import Place
from ldap_source import Directory


@pytest.fixture
def place(ldap_directory: Directory) -> Iterator[Place]:
    """A branch of the directory for one test."""
    with ldap_directory.administrator() as admin:
        place = Place(ldap_directory, admin)
        yield place
        place.clear()
