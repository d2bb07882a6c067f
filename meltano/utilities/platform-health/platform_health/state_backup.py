"""Backups of pipelines' state, as files for `meltano state set --input-file`."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from upath import UPath

from platform_health import meltano

_FOLDER_FORMAT = "%Y-%m-%dT%H-%M-%SZ"
_FOLDER_PATTERN = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")


def back_up(folder: UPath, keep: int, now: datetime) -> str:
    """Write the state of every state ID to a new folder, and delete the oldest backups.

    Args:
        folder: The folder of the backups.
        keep: The number of backups to keep.
        now: The current time, which names the new backup.

    Raises:
        HealthError: Meltano cannot read a state.
    """
    ids = meltano.output("state", "list").split()
    # All states are read first, so that a failure leaves no incomplete backup.
    states = {each: meltano.output("state", "get", "--", each) for each in ids}
    backup = folder / f"{now:{_FOLDER_FORMAT}}"
    backup.mkdir(parents=True, exist_ok=True)
    for state_id, state in states.items():
        (backup / f"{quote(state_id, safe=':')}.json").write_text(state)
    backups = sorted(each for each in folder.iterdir() if _FOLDER_PATTERN.fullmatch(each.name))
    for old in backups[:-keep]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return f"the state of {len(ids)} pipelines is in {backup}"
