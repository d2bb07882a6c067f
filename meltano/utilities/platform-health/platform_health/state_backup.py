"""State of pipelines as files, each as `meltano state set --input-file` takes it."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from upath import UPath

from platform_health import meltano

_WHEN = "%Y-%m-%dT%H-%M-%SZ"
_OF_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")


def back_up(folder: UPath, keep: int, now: datetime) -> str:
    """Write the state of every state ID into a new folder, and forget the oldest.

    Args:
        folder: Where the backups are.
        keep: How many of them there may be.
        now: Names the new one.

    Raises:
        HealthError: Meltano does not tell.
    """
    ids = meltano.ask("state", "list").split()
    # All are asked for first: what fails half-way is no backup.
    states = {each: meltano.ask("state", "get", "--", each) for each in ids}
    backup = folder / f"{now:{_WHEN}}"
    backup.mkdir(parents=True, exist_ok=True)
    for state_id, state in states.items():
        (backup / f"{quote(state_id, safe=':')}.json").write_text(state)
    backups = sorted(each for each in folder.iterdir() if _OF_OURS.fullmatch(each.name))
    for old in backups[:-keep]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return f"the state of {len(ids)} pipelines is in {backup}"
