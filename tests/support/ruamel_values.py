"""What ruamel.yaml reads for Meltano, to compare with what the package reads."""

from datetime import datetime

from ruamel.yaml.comments import TaggedScalar
from ruamel.yaml.scalarbool import ScalarBoolean


def plain(value):
    """Turn what ruamel.yaml gives into the types of Python."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, TaggedScalar):
        return plain(value.value)
    if isinstance(value, datetime):
        return datetime.fromisoformat(value.isoformat())
    kinds = {ScalarBoolean: bool, bool: bool, int: int, float: float, str: str, bytes: bytes}
    for kind, make in kinds.items():
        if isinstance(value, kind):
            return make(value)
    return value
